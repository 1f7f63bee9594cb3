import type { LoadSource, SequenceValue } from "../../engines/postgres/load.ts";
import type {
  DatabaseSchema,
  SchemaObject,
  SchemaSequence,
  SchemaTable,
} from "../../engines/postgres/schema/schema_object.ts";
import { AmberError } from "../../errors.ts";
import { Garbage } from "../../memory.ts";
import type { SnapshotReader } from "../../repository/reader.ts";
import { type FileEntry, postgresPrefix } from "../../repository/tree.ts";
import { largeObjectPiece, rowsPath } from "./paths.ts";

/** The Postgres database of a snapshot, as it is stored. */
export class StoredPostgres {
  private constructor(
    readonly schema: DatabaseSchema,
    readonly sequences: SequenceValue[],
    private readonly reader: SnapshotReader,
    private readonly entries: ReadonlyMap<string, FileEntry>,
  ) {}

  /** Undefined when there is none. @throws {AmberError} OBJECT_DAMAGED, OBJECT_MISSING */
  static async open(reader: SnapshotReader): Promise<StoredPostgres | undefined> {
    if (!reader.snapshot.facts.postgres) return undefined;
    const entries = new Map<string, FileEntry>();
    for await (const entry of reader.entries()) {
      if (entry.type === "file" && entry.path.startsWith(postgresPrefix)) entries.set(entry.path, entry);
      else if (entry.path > postgresPrefix) break;
    }
    const read = (name: string) => textOf(reader, entries.get(postgresPrefix + name), name);
    return new StoredPostgres(
      schemaOf(await read("schema.jsonl")),
      sequencesOf(await read("sequences")),
      reader,
      entries,
    );
  }

  source(): LoadSource {
    const bytesOf = (path: string) => {
      const entry = this.entries.get(path);
      return entry && contentOf(this.reader, entry);
    };
    return {
      rows: (table) => bytesOf(rowsPath(table)),
      sequences: this.sequences,
      refreshes: this.schema.objects.filter(({ kind }) => kind === "refresh").map(({ sql }) => sql),
      largeObjects: bytesOf(`${postgresPrefix}large-objects`),
      largeObjectPiece,
    };
  }

  /** The rows of one table, by its schema and name. */
  entryOf(table: Pick<SchemaTable, "schema" | "name">): FileEntry | undefined {
    return this.entries.get(rowsPath(table));
  }
}

/** The bytes are there until the next ones are asked for. */
async function* contentOf(reader: SnapshotReader, entry: FileEntry): AsyncGenerator<Uint8Array> {
  const garbage = new Garbage(16 << 20); // what a socket is given is used once
  for await (const { bytes } of reader.pieces(entry)) {
    if (!bytes) continue;
    yield bytes;
    garbage.add(bytes.length);
  }
}

/** More than the schema of any database takes: bytes; and lists, objects and parts of them, which take far more memory when read. */
const limits = { bytes: 128 << 20, parts: 1 << 22 };

async function textOf(reader: SnapshotReader, entry: FileEntry | undefined, name: string): Promise<string> {
  if (!entry || entry.contentHash === undefined) throw damaged(`its "${name}" is not there`);
  if (entry.size > limits.bytes) throw damaged(`its "${name}" is larger than any`);
  const decoder = new TextDecoder();
  const parts: string[] = [];
  let size = 0;
  let count = 0;
  for await (const bytes of contentOf(reader, entry)) {
    size += bytes.length;
    for (const byte of bytes) if (byte === 0x2c || byte === 0x5b || byte === 0x7b) count++; // , [ {
    // Blocks may be more than the entry says: that is found out at their end only.
    if (size > entry.size || count > limits.parts) throw damaged(`its "${name}" is larger than any`);
    parts.push(decoder.decode(bytes, { stream: true }));
  }
  return parts.join("") + decoder.decode();
}

function schemaOf(text: string): DatabaseSchema {
  const objects: SchemaObject[] = [];
  const tables: SchemaTable[] = [];
  const sequences: SchemaSequence[] = [];
  let head: Record<string, unknown> | undefined;
  try {
    for (const line of text.split("\n")) {
      if (line === "") continue;
      const { is, ...value } = JSON.parse(line);
      if (is === "object") objects.push(value);
      else if (is === "table") tables.push(value);
      else if (is === "sequence") sequences.push(value);
      else if (is === "database") head = value;
    }
  } catch {
    throw damaged("its schema is malformed");
  }
  const areWhole = objects.every(isObject) && tables.every(isTable) && sequences.every(({ quoted }) => isText(quoted));
  if (!head || !isHead(head) || !areWhole) throw damaged("its schema is malformed");
  return { ...head, objects, tables, sequences } as DatabaseSchema;
}

function isHead({ serverVersion, extensions, notes }: Record<string, unknown>): boolean {
  return isText(serverVersion) && areAll(notes, isText) &&
    areAll(extensions, (one) => [one?.name, one?.version].every(isText));
}

function isObject({ kind, name, sql, section, owner, grants, table }: Loose<SchemaObject>): boolean {
  return [kind, name, sql].every(isText) && (section === "pre-data" || section === "post-data") &&
    [owner, grants, table].every((value) => value === undefined || isText(value));
}

function isTable({ schema, name, quoted, kind, columns }: Loose<SchemaTable>): boolean {
  return [schema, name, quoted, kind].every(isText) &&
    areAll(columns, (one) => [one?.name, one?.quoted].every(isText));
}

/** What a line may be instead. */
type Loose<T> = { [Field in keyof T]?: unknown };

function areAll(list: unknown, isOne: (value: Record<string, unknown> | undefined) => boolean): boolean {
  return Array.isArray(list) && list.every((one) => isOne(one ?? undefined));
}

/** Well-formed: paths are made of names, and no other text has one. */
function isText(value: unknown): boolean {
  return typeof value === "string" && value.isWellFormed();
}

function sequencesOf(text: string): SequenceValue[] {
  return text.split("\n").slice(0, -1).map((line) => {
    const [name, value, isCalled] = line.split("\t").map(unescaped);
    if (name === undefined || !/^-?\d{1,19}$/.test(value ?? "")) {
      throw damaged("where its sequences stand is malformed");
    }
    return { name, value: value!, isCalled: isCalled === "t" };
  });
}

/** A field of COPY's text form. */
function unescaped(field: string): string {
  const named: Record<string, string> = { b: "\b", f: "\f", n: "\n", r: "\r", t: "\t", v: "\v" };
  return field.replace(/\\(.)/gs, (_, one: string) => named[one] ?? one);
}

function damaged(why: string): AmberError {
  return new AmberError("OBJECT_DAMAGED", {
    message: `Cannot read the Postgres database of the snapshot: ${why}`,
    hint: "amber verify says what else is damaged. Other snapshots can still be restored: amber snapshots",
  });
}
