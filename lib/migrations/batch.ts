import { AmberError } from "../errors.ts";
import { type Engine, quoteName, type Row, type Value } from "../engines/engine.ts";

/** A walk over a table, or over the rows of a query, in order of a unique key that is never NULL. */
export interface BatchOptions {
  /** A table's name, or a query in parentheses. */
  from: string;
  /** Columns to select; default `*`. The key must be among them. */
  select?: string;
  /** The unique column to walk by; default `id`. */
  key?: string;
  /** A condition, e.g. `slug is null`. */
  where?: string;
  /** Rows a round; default 1,000. */
  size?: number;
}

/** The key once more, as Postgres writes it. */
const keyText = "amber batch key";

/** Where a migration keeps how far its batches came: the last key of each, by their order. */
export interface Checkpoint {
  read(): Promise<Record<string, string>>;
  /** Within the round's own transaction. */
  write(keys: Record<string, string>): Promise<void>;
}

/**
 * Keyset loop: `key > last ORDER BY key LIMIT size`, each round handed to `work`. With a checkpoint each round is one
 * transaction together with the key it came to; without, all rounds are part of the caller's transaction.
 */
export async function runBatch(
  engine: Engine,
  options: BatchOptions,
  work: (rows: Row[]) => void | Promise<void>,
  checkpoint?: Checkpoint & { index: number },
): Promise<void> {
  const key = options.key ?? "id";
  const size = options.size ?? 1000;
  const from = /^\s*\(/.test(options.from) ? `${options.from} as batch` : options.from;
  const condition = options.where ? `(${options.where}) and ` : "";
  const name = String(checkpoint?.index);
  const select = options.select ?? "*";
  const parameter = engine.dialect === "postgres" ? "$1" : "?1";
  // Postgres hands out more than JavaScript keeps (microseconds, 64 bits): there the key goes as text, and comes back so.
  const columns = engine.dialect === "postgres"
    ? `${select}, ${quoteName(key)}::text as ${quoteName(keyText)}`
    : select;
  let last = checkpoint ? decodeKey((await checkpoint.read())[name]) : undefined;
  const round = async (): Promise<boolean> => {
    const after = last === undefined ? "true" : `${quoteName(key)} > ${parameter}`;
    const rows = await engine.query(
      `select ${columns} from ${from} where ${condition}${after} order by ${quoteName(key)} limit ${Math.trunc(size)}`,
      last === undefined ? [] : [last],
    );
    if (rows.length === 0) return false;
    const value = rows.at(-1)![engine.dialect === "postgres" ? keyText : key];
    if (value === undefined || value === null) {
      throw new AmberError("CODE_FAILED", {
        message: `Cannot go through "${options.from}" in batches: its rows have no "${key}"`,
        hint: "Name a unique column that is never NULL and is selected: db.batch({ from, key }, …)",
      });
    }
    for (const row of rows) delete row[keyText];
    await work(rows);
    last = value as Value;
    if (checkpoint) await checkpoint.write({ ...await checkpoint.read(), [name]: encodeKey(last) });
    return true;
  };
  if (!checkpoint) {
    while (await round());
    return;
  }
  for (let goesOn = true; goesOn;) {
    await engine.begin();
    try {
      goesOn = await round();
      await engine.commit();
    } catch (error) {
      await engine.rollback(); // the migration's code may catch it and go on
      throw error;
    }
  }
}

/** One letter for the type, so that SQLite compares a number with numbers and a blob with blobs after a restart. */
function encodeKey(value: Value): string {
  if (typeof value === "string") return `s${value}`;
  if (typeof value === "bigint" || (typeof value === "number" && Number.isInteger(value))) return `i${value}`;
  if (value instanceof Uint8Array) return `b${value.toHex()}`;
  return `f${value}`;
}

function decodeKey(text: string | undefined): Value | undefined {
  if (text === undefined) return undefined;
  const rest = text.slice(1);
  switch (text[0]) {
    case "s":
      return rest;
    case "i":
      return BigInt(rest);
    case "b":
      return Uint8Array.fromHex(rest);
    default:
      return Number(rest);
  }
}
