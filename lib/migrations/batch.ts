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
  let last = checkpoint ? decodeKey((await checkpoint.read())[name]) : undefined;
  for (;;) {
    if (checkpoint) await engine.begin();
    const after = last === undefined ? "true" : `${quoteName(key)} > ${engine.dialect === "postgres" ? "$1" : "?1"}`;
    const rows = await engine.query(
      `select ${options.select ?? "*"} from ${from} where ${condition}${after} order by ${quoteName(key)} limit ${
        Math.trunc(size)
      }`,
      last === undefined ? [] : [last],
    );
    if (rows.length === 0) {
      if (checkpoint) await engine.rollback();
      return;
    }
    const value = rows.at(-1)![key];
    if (value === undefined || value === null) {
      throw new AmberError("CODE_FAILED", {
        message: `Cannot go through "${options.from}" in batches: its rows have no "${key}"`,
        hint: "Name a unique column that is never NULL and is selected: db.batch({ from, key }, …)",
      });
    }
    await work(rows);
    last = value instanceof Date ? value.toISOString() : (value as Value);
    if (checkpoint) {
      await checkpoint.write({ ...await checkpoint.read(), [name]: encodeKey(last) });
      await engine.commit();
    }
  }
}

/** One letter for the type, so that SQLite compares a number with numbers after a restart. */
function encodeKey(value: Value): string {
  if (typeof value === "string") return `s${value}`;
  if (typeof value === "bigint" || (typeof value === "number" && Number.isInteger(value))) return `i${value}`;
  return `f${value}`;
}

function decodeKey(text: string | undefined): Value | undefined {
  if (text === undefined) return undefined;
  return text[0] === "s" ? text.slice(1) : text[0] === "i" ? BigInt(text.slice(1)) : Number(text.slice(1));
}
