/** In which half of a schema an object is made: before the rows are loaded, or after. */
export type Section = "pre-data" | "post-data";

/** One object of a database, as statements. */
export interface SchemaObject {
  /** "table", "index", "foreign key", … : see rank.ts. */
  kind: string;
  /** Qualified and quoted, e.g. `public."Order"`; `public.note_pkey ON public.note` for what lives on a table. */
  name: string;
  /** The statements that make it, its comments and labels with it; each ends with a semicolon. Never empty. */
  sql: string;
  section: Section;
  /** `ALTER … OWNER TO …;`, where the object has an owner of its own. */
  owner?: string;
  /** REVOKE and GRANT statements; undefined where the rights are those that the owner's object is born with. */
  grants?: string;
  /** The table or view it belongs to and goes with, qualified and quoted; the table itself included. */
  table?: string;
}

/** A foreign key, as restore drops it and makes it again. */
export interface ForeignKey {
  name: string; // quoted
  references: string; // the other table, qualified and quoted
  sql: string; // the statement that makes it
}

/** A column that rows bring. */
export interface TableColumn {
  name: string; // as it is
  quoted: string;
  type: string;
}

/** What a dump of the rows wants to know of a table. */
export interface SchemaTable {
  oid: number;
  schema: string; // as it is
  name: string; // as it is
  quoted: string; // qualified and quoted
  kind: "table" | "partitioned table" | "materialized view" | "foreign table";
  persistence: "permanent" | "unlogged";
  /** All that COPY takes, in the table's order: no generated ones. A row needs none of them to be there. */
  columns: TableColumn[];
  /** Names of the columns among them that are identities. */
  identity: string[];
  /** The sequences that belong to its columns, those of identities included. Qualified and quoted. */
  sequences: string[];
  isPartition: boolean;
  /** It inherits from another table, by partition or by INHERITS: its rows show in that one too, unless ONLY is said. */
  isChild: boolean;
  /** Materialized views: it has been filled. */
  isPopulated: boolean;
  foreignKeys: ForeignKey[];
  /** It belongs to an extension, which names it as holding users' rows (pg_extension.extconfig): only those for which `where` is true. */
  extension?: { name: string; where: string };
}

/** A sequence, whose value goes with the rows. */
export interface SchemaSequence {
  oid: number;
  quoted: string; // qualified and quoted
  /** The table and column that it belongs to. */
  ownedBy?: { table: string; column: string };
}

export interface SchemaExtension {
  name: string; // as it is
  version: string;
  schema: string; // as it is
}

/** All that was read of a database. */
export interface DatabaseSchema {
  /** e.g. `15.18` */
  serverVersion: string;
  /** e.g. 150018 */
  serverNumber: number;
  extensions: SchemaExtension[];
  /** In an order in which they can be made: each one after what it depends on. */
  objects: SchemaObject[];
  tables: SchemaTable[];
  sequences: SchemaSequence[];
  /** What is there and not among the objects, each with its name and the reason. Sorted. */
  notes: string[];
}

/** What no schema of amber's covers, said wherever one is shown. */
export const notCovered: readonly string[] = [
  "roles",
  "tablespaces",
  "other databases of the server",
  "subscriptions",
  "passwords of foreign servers",
  "planner statistics",
];
