import type { Row } from "../../engine.ts";
import { type Found, idOf, ownerSql, plain } from "./found.ts";
import type { Relation } from "./relations.ts";
import { type Reading } from "./reading.ts";
import { relationRights } from "./tables.ts";
import type { SchemaSequence } from "./schema_object.ts";

export interface Sequences {
  found: Found[];
  /** What stands behind GENERATED, by the table's oid and the column's number. */
  identities: Map<number, Map<number, string>>;
  sequences: SchemaSequence[];
  /** Sequences that go with a table's columns, by the table's oid. */
  ofTable: Map<number, string[]>;
}

/** Sequences by themselves, those that belong to a column, and those of identities. */
export async function readSequences({ query }: Reading, relations: Map<number, Relation>): Promise<Sequences> {
  const rows = await query(`select s.seqrelid as oid, format_type(s.seqtypid, null) as type, s.seqstart::text as start,
      s.seqincrement::text as step, s.seqmin::text as min, s.seqmax::text as max, s.seqcache::text as cache,
      s.seqcycle as cycle, d.deptype as bond, d.refobjid as table_oid, d.refobjsubid as column_number
    from pg_sequence s
    left join pg_depend d on d.classid = 'pg_class'::regclass and d.objid = s.seqrelid and d.objsubid = 0
      and d.refclassid = 'pg_class'::regclass and d.refobjsubid > 0 and d.deptype in ('a', 'i')
    where s.seqrelid >= 16384 order by s.seqrelid`);
  const read: Sequences = { found: [], identities: new Map(), sequences: [], ofTable: new Map() };
  for (const row of rows) {
    const relation = relations.get(Number(row.oid));
    if (!relation) continue; // temporary
    const table = relations.get(Number(row.table_oid));
    const column = table?.columns.find(({ number }) => number === Number(row.column_number));
    read.sequences.push({
      oid: relation.oid,
      quoted: relation.name,
      ...(table && column ? { ownedBy: { table: table.name, column: column.quoted } } : {}),
    });
    if (table) read.ofTable.set(table.oid, [...(read.ofTable.get(table.oid) ?? []), relation.name]);
    if (relation.extension !== undefined) continue;
    if (table && column && row.bond === "i") {
      const ofTable = read.identities.get(table.oid) ?? new Map<number, string>();
      ofTable.set(column.number, identityWords(relation, row, String(column.row.identity)));
      read.identities.set(table.oid, ofTable);
      read.found.push(...identityRest(relation, table));
    } else {
      read.found.push(sequenceFound(relation, row, table));
      if (table && column) {
        read.found.push(plain({
          id: `owned:${relation.oid}`,
          kind: "sequence owned by",
          name: relation.name,
          section: "pre-data",
          after: [idOf("pg_class", relation.oid), idOf("pg_class", table.oid)],
          table: table.name,
          sql: `ALTER SEQUENCE ${relation.name} OWNED BY ${table.name}.${column.quoted};`,
        }));
      }
    }
  }
  return read;
}

function options(row: Row): string {
  return `START WITH ${row.start} INCREMENT BY ${row.step} MINVALUE ${row.min} MAXVALUE ${row.max} CACHE ${row.cache}${
    row.cycle ? " CYCLE" : ""
  }`;
}

function identityWords(relation: Relation, row: Row, identity: string): string {
  const how = identity === "a" ? "ALWAYS" : "BY DEFAULT";
  return `GENERATED ${how} AS IDENTITY (SEQUENCE NAME ${relation.name} ${options(row)})`;
}

function sequenceFound(relation: Relation, row: Row, table?: Relation): Found {
  const { name, oid } = relation;
  const kind = relation.row.persistence === "u" ? "UNLOGGED SEQUENCE" : "SEQUENCE";
  return plain({
    id: idOf("pg_class", oid),
    also: [idOf("pg_type", relation.row.row_type)],
    kind: "sequence",
    name,
    section: "pre-data",
    // It belongs to the column, and the column's default asks it.
    notAfter: table ? [idOf("pg_class", table.oid)] : [],
    table: table?.name,
    owner: ownerSql(`SEQUENCE ${name}`, relation.row.owner),
    rights: relationRights(relation, "SEQUENCE"),
    sql: `CREATE ${kind} ${name} AS ${row.type} ${options(row)};`,
  });
}

/** An identity's sequence is made with its table; what is left are its rights, and whether it is logged otherwise. */
function identityRest(relation: Relation, table: Relation): Found[] {
  const isUnlogged = relation.row.persistence === "u";
  const differs = isUnlogged !== (table.row.persistence === "u");
  return [{
    id: idOf("pg_class", relation.oid),
    also: [idOf("pg_type", relation.row.row_type)],
    kind: "identity sequence",
    name: relation.name,
    section: "pre-data",
    on: `SEQUENCE ${relation.name}`,
    after: [idOf("pg_class", table.oid)],
    table: table.name,
    rights: relationRights(relation, "SEQUENCE"),
    make: () => differs ? `ALTER SEQUENCE ${relation.name} SET ${isUnlogged ? "UNLOGGED" : "LOGGED"};` : "",
  }];
}
