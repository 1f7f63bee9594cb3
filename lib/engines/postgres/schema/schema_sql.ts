import { type DatabaseSchema, notCovered, type SchemaObject, type Section } from "./schema_object.ts";

export interface SchemaSqlOptions {
  /** Owners and grants too. Default: yes. */
  rights?: boolean;
}

/** A schema as text: the head, what is made before the rows come, and what is made after. */
export interface SchemaSql {
  head: string;
  preData: string;
  postData: string;
}

const settings = [
  "SET statement_timeout = 0;",
  "SET lock_timeout = 0;",
  "SET idle_in_transaction_session_timeout = 0;",
  "SET client_encoding = 'UTF8';",
  "SET standard_conforming_strings = on;",
  "SELECT pg_catalog.set_config('search_path', '', false);",
  "SET check_function_bodies = false;",
  "SET xmloption = content;",
  "SET client_min_messages = warning;",
  "SET row_security = off;",
  "SET default_tablespace = '';",
  "SET default_table_access_method = heap;",
];

/**
 * The readable schema.sql in its three pieces. Each can be run by itself, in this order; the same schema always gives the
 * same text.
 */
export function schemaParts(schema: DatabaseSchema, { rights = true }: SchemaSqlOptions = {}): SchemaSql {
  const of = (section: Section, isLast: boolean) =>
    schema.objects.filter((object) => object.section === section && isLastOfAll(object) === isLast);
  const grants = rights ? schema.objects.flatMap(grantText) : [];
  return {
    head: head(schema),
    preData: of("pre-data", false).map((object) => text(object, rights)).join(""),
    postData: [
      ...of("post-data", false).map((object) => text(object, rights)),
      // Last, as a right that is missing must not keep anything from being made.
      ...grants,
      ...of("post-data", true).map((object) => text(object, rights)),
    ].join(""),
  };
}

/** The whole schema.sql. */
export function schemaSql(schema: DatabaseSchema, options?: SchemaSqlOptions): string {
  const { head, preData, postData } = schemaParts(schema, options);
  return `${head}${preData}\n-- Rows are loaded here.\n${postData}`;
}

/** Event triggers would see all that follows; what fills materialized views wants everything to be there. */
function isLastOfAll({ kind }: SchemaObject): boolean {
  return kind === "event trigger" || kind === "refresh" || kind === "default privileges";
}

function head({ serverVersion, extensions, notes }: DatabaseSchema): string {
  return [
    `-- Schema of a PostgreSQL ${serverVersion} database.`,
    ...(extensions.length > 0
      ? [`-- Extensions: ${extensions.map(({ name, version }) => `${oneLine(name)} ${oneLine(version)}`).join(", ")}`]
      : []),
    `-- Not covered: ${notCovered.join(", ")}.`,
    ...notes.map((note) => `-- Note: ${oneLine(note)}`),
    "",
    ...settings,
    "",
  ].join("\n");
}

function text({ kind, name, sql, owner }: SchemaObject, rights: boolean): string {
  const statements = [sql, ...(rights && owner ? [owner] : [])].filter(Boolean);
  return statements.length > 0 ? `\n-- ${kind} ${oneLine(name)}\n${statements.join("\n")}\n` : "";
}

function grantText({ kind, name, grants }: SchemaObject): string[] {
  return grants === undefined ? [] : [`\n-- rights of ${kind} ${oneLine(name)}\n${grants}\n`];
}

function oneLine(text: string): string {
  return text.replace(/[\r\n\u2028\u2029]+/g, " ");
}
