import type { SchemaObject } from "../../../lib/engines/postgres/schema/schema_object.ts";

const words: Record<string, string> = {
  "enum": "type",
  "composite type": "type",
  "range type": "type",
  "base type": "type",
  "shell type": "type",
  "announced type": "type",
  "identity sequence": "table",
  "foreign-data wrapper": "foreign data wrapper",
};

/** The statement that takes an object out of its database. */
export function dropSql({ kind, name, sql, table }: SchemaObject): string {
  const bare = name.endsWith(` ON ${table}`) ? name.slice(0, -` ON ${table}`.length) : name;
  switch (kind) {
    case "primary key":
    case "unique constraint":
    case "exclusion constraint":
    case "foreign key":
    case "check constraint":
    case "not null constraint":
      return `alter table ${table} drop constraint ${bare} cascade`;
    case "domain constraint":
    case "domain not null":
      return sql.replace(/^(ALTER DOMAIN .*?) ADD CONSTRAINT ("(?:[^"]|"")*"|\w+).*/s, "$1 drop constraint $2 cascade");
    case "rule":
    case "trigger":
    case "policy":
      if (sql.startsWith("ALTER TABLE")) return sql.replace(/ (DISABLE|ENABLE\w*) TRIGGER /, " ENABLE TRIGGER ");
      return `drop ${kind} ${bare} on ${table} cascade`;
    case "default":
      return sql.replace(/ SET DEFAULT .*/s, " DROP DEFAULT");
    case "partition":
      return sql.replace(/ ONLY (.*) ATTACH PARTITION .*/s, ` $1 DETACH PARTITION ${name}`);
    case "index partition":
      return `drop table ${table} cascade`;
    case "sequence owned by":
      return `alter sequence ${name} owned by none`;
    case "identity sequence":
      return `drop table ${table} cascade`;
    case "operator family member":
      return `drop operator family ${name} cascade`;
    case "row-level security":
      return `alter table ${table} disable row level security, no force row level security`;
    case "publication table":
      return sql.replace(/ ADD TABLE ONLY .*/s, ` drop table only ${table}`);
    case "publication schema":
      return sql.replace(" ADD TABLES ", " DROP TABLES ");
    case "view query":
      return `drop view ${name} cascade`;
    case "text search parser":
    case "operator class":
    default:
      return `drop ${words[kind] ?? kind} ${name} cascade`;
    case "built-in":
      return `revoke all on ${name} from torture_reader`;
    case "user mapping":
      return `drop user mapping ${name}`;
    case "event trigger":
      return `drop event trigger ${name}`;
    case "publication":
      return `drop publication ${name}`;
    case "statistics":
      return `drop statistics ${name}`;
    case "default privileges":
      return "alter default privileges in schema app revoke select on tables from torture_reader; " +
        "alter default privileges for role torture_owner grant execute on functions to public; " +
        "alter default privileges for role torture_owner in schema app revoke all on sequences from torture_reader; " +
        "alter default privileges revoke usage on types from torture_reader; " +
        "alter default privileges revoke all on schemas from torture_reader";
  }
}
