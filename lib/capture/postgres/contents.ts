import type { PostgresAddress } from "../../database_url.ts";
import { type PinnedOptions, PinnedSession } from "../../engines/postgres/pinned.ts";
import { literal } from "../../engines/engine.ts";
import { type SequenceValue, tablesWithRows } from "../../engines/postgres/load.ts";
import { type DatabaseSchema, readSchema, type SchemaTable } from "../../engines/postgres/schema/read_schema.ts";
import { fingerprint } from "../../engines/postgres/schema/fingerprint.ts";
import { schemaSql } from "../../engines/postgres/schema/schema_sql.ts";
import { standingOf } from "../../standing.ts";
import type { PostgresFacts } from "../../repository/snapshot_file.ts";
import { postgresPrefix } from "../../repository/tree.ts";
import { ofApp } from "./marker.ts";
import { largeObjectPiece, rowsPath } from "./paths.ts";

/** A part of a Postgres database as it goes into a snapshot: lines. */
export interface PostgresPart {
  /** Its path in the tree. */
  path: string;
  /** The table whose rows it is, qualified and quoted. */
  table?: string;
  chunks: () => AsyncIterable<Uint8Array>;
}

/** From which correlation of a key with the order on the disk rows are read by their key: an index scan costs little then. */
const orderly = 0.8;

/**
 * A Postgres database at the moment of a snapshot: tables locked before it, pinned in it, read after it, all in one
 * transaction.
 */
export class PostgresMoment implements AsyncDisposable {
  #session?: PinnedSession;

  constructor(private readonly address: PostgresAddress, private readonly options: PinnedOptions) {}

  /** Locks all tables against changes of their form. Rows go on being written. */
  async prepare(): Promise<void> {
    await this.#session?.close();
    this.#session = await PinnedSession.prepare(this.address, this.options);
  }

  /** From now on what is read is what there was now: one round trip. */
  async pin(): Promise<void> {
    await this.#session!.pin();
  }

  /** Undefined when tables came or went between the locking and the moment: it is of no use. */
  async read(): Promise<PostgresContents | undefined> {
    const session = this.#session!;
    if (!await session.confirm()) return undefined;
    const schema = ofApp(await readSchema((sql) => session.query(sql)));
    return await PostgresContents.read(session, schema, this.address);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#session?.close();
  }
}

export class PostgresContents {
  readonly #rows: Record<string, number> = {};
  #bytes = 0;

  private constructor(
    private readonly session: PinnedSession,
    readonly schema: DatabaseSchema,
    private readonly name: string,
    private readonly keys: ReadonlyMap<number, string>,
    private readonly migrations: string[] | undefined,
    private readonly hasLargeObjects: boolean,
    /** Bytes of all tables on the server's disk. */
    readonly estimate: number,
  ) {}

  static async read(
    session: PinnedSession,
    schema: DatabaseSchema,
    address: PostgresAddress,
  ): Promise<PostgresContents> {
    const history = schema.tables.find(({ name, columns }) =>
      name === "amber_migrations" && columns.some((column) => column.name === "applied_at")
    );
    const [keys, applied, [facts]] = await Promise.all([
      session.query(keysSql),
      history
        ? session.query(`select name from ${history.quoted} where state = 'applied' order by applied_at, name`)
        : undefined,
      session.query(factsSql),
    ]);
    return new PostgresContents(
      session,
      schema,
      address.database,
      new Map(keys.map(({ oid, columns }) => [Number(oid), String(columns)])),
      applied?.map(({ name }) => String(name)),
      Boolean(facts?.large_objects),
      Number(facts?.bytes ?? 0),
    );
  }

  /** All that is stored, in any order. */
  parts(): PostgresPart[] {
    const { schema, session } = this;
    const parts: PostgresPart[] = [
      { path: `${postgresPrefix}schema.jsonl`, chunks: () => lines(schemaLines(schema)) },
      { path: `${postgresPrefix}schema.sql`, chunks: () => lines([schemaSql(schema)]) },
      { path: `${postgresPrefix}sequences`, chunks: () => session.copyOut(sequencesSql(schema)) },
      ...tablesWithRows(schema).map((table) => ({
        path: rowsPath(table),
        table: table.quoted,
        chunks: () => session.copyOut(this.#rowsSql(table)),
      })),
    ];
    if (this.hasLargeObjects) {
      parts.push({ path: `${postgresPrefix}large-objects`, chunks: () => session.copyOut(largeObjectsSql) });
    }
    return parts;
  }

  /** Where the sequences stand. */
  async sequenceValues(): Promise<SequenceValue[]> {
    const { sequences } = this.schema;
    if (sequences.length === 0) return [];
    const rows = await this.session.query(sequenceRowsSql(this.schema));
    return rows.map((row) => ({
      name: String(row.name),
      value: String(row.last_value),
      isCalled: row.is_called === true || row.is_called === "t",
    }));
  }

  /** Takes note of a part that has been stored. */
  stored({ table }: PostgresPart, { rows, size }: { rows: number; size: number }): void {
    this.#bytes += size;
    if (table !== undefined) this.#rows[table] = rows;
  }

  /** When all parts are stored. */
  facts(): PostgresFacts {
    const { structure, rights } = fingerprint(this.schema.objects);
    return {
      name: this.name,
      server: this.schema.serverVersion,
      bytes: this.#bytes,
      rows: this.#rows,
      ...(this.migrations === undefined ? {} : { migrations: standingOf(this.migrations) }),
      structure,
      rights,
      notes: this.schema.notes,
    };
  }

  #rowsSql({ oid, quoted, columns, extension }: SchemaTable): string {
    const key = this.keys.get(oid);
    const names = columns.map((column) => column.quoted).join(", ");
    return `copy (select ${names} from only ${quoted}${extension?.where ? ` ${extension.where}` : ""}${
      key === undefined ? "" : ` order by ${key}`
    }) to stdout`;
  }
}

/** One JSON object a line: what of an unchanged schema is the same stays the same bytes. */
function* schemaLines({ objects, tables, sequences, ...head }: DatabaseSchema): Generator<string> {
  yield JSON.stringify({ is: "database", ...head });
  for (const object of objects) yield JSON.stringify({ is: "object", ...object });
  for (const table of tables) yield JSON.stringify({ is: "table", ...table });
  for (const sequence of sequences) yield JSON.stringify({ is: "sequence", ...sequence });
}

async function* lines(texts: Iterable<string>): AsyncGenerator<Uint8Array> {
  for (const text of texts) yield new TextEncoder().encode(text.endsWith("\n") ? text : `${text}\n`);
}

/** name, last_value, is_called. */
function sequencesSql(schema: DatabaseSchema): string {
  return `copy (${sequenceRowsSql(schema)}) to stdout`;
}

function sequenceRowsSql({ sequences }: DatabaseSchema): string {
  const each = sequences.map(({ quoted }) =>
    `select ${literal(quoted, "postgres")}::text as name, last_value, is_called from ${quoted}`
  );
  const all = each.length > 0 ? each.join(" union all ") : "select ''::text, 0::bigint, false where false";
  return `select * from (${all}) all_sequences order by 1`;
}

/** oid, number of the piece, its bytes; of an empty one the piece 0. */
const largeObjectsSql = `copy (
  select object.oid, piece, lo_get(object.oid, piece * ${largeObjectPiece}::bigint, ${largeObjectPiece})
  from (select oid, lo_lseek64(lo_open(oid, 262144), 0, 2) as size from pg_largeobject_metadata) object,
    generate_series(0, greatest(size - 1, 0) / ${largeObjectPiece}) piece
  order by 1, 2) to stdout`;

const factsSql = `select exists (select from pg_largeobject_metadata) as large_objects,
  (select sum(pg_table_size(oid)) from pg_class where relkind in ('r', 'm') and relnamespace not in
    (select oid from pg_namespace where nspname in ('pg_catalog', 'information_schema')))::text as bytes`;

/** Primary keys by which rows lie on the disk, more or less. */
const keysSql = `select i.indrelid::int8::text as oid,
  (select string_agg(quote_ident(a.attname), ', ' order by k.n)
    from unnest(i.indkey) with ordinality k (attnum, n)
    join pg_attribute a on a.attrelid = i.indrelid and a.attnum = k.attnum) as columns
from pg_index i
join pg_class c on c.oid = i.indrelid
join pg_namespace n on n.oid = c.relnamespace
join pg_attribute a on a.attrelid = i.indrelid and a.attnum = i.indkey[0]
join pg_stats s on s.schemaname = n.nspname and s.tablename = c.relname and s.attname = a.attname and not s.inherited
where i.indisprimary and i.indisvalid and i.indnkeyatts = i.indnatts and abs(s.correlation) >= ${orderly}`;
