import type { PostgresAddress } from "../../database_url.ts";
import { type EngineEvent, StatementFailure } from "../../engines/engine.ts";
import { PostgresEngine } from "../../engines/postgres/engine.ts";
import type { LoadSource } from "../../engines/postgres/load.ts";
import { AmberError } from "../../errors.ts";
import { PostgresMoment } from "./contents.ts";
import { makeAll, makeSettings } from "./make.ts";
import { largeObjectPiece } from "./paths.ts";

export interface CopyNowOptions {
  waitMs: number;
  by: string;
  stop: AbortSignal;
  report: (event: EngineEvent) => void;
}

/** How often tables may come or go between the locking and the moment. */
const tries = 4;

/**
 * Copies a database as it is at one moment into an empty one, straight across: schema, rows, sequences, large objects. The
 * first is only read.
 *
 * @returns How many rows.
 * @throws {AmberError} DATABASE_*, TABLE_LOCKED, STATEMENT_FAILED
 */
export async function copyNow(from: PostgresAddress, into: PostgresAddress, options: CopyNowOptions): Promise<number> {
  const { waitMs, by, stop, report } = options;
  await using moment = new PostgresMoment(from, options);
  const contents = await read(moment);
  const engine = await PostgresEngine.open(into, { waitMs, by, stop, report, create: false, readOnly: false });
  try {
    await engine.begin();
    await engine.query(makeSettings);
    const chunks = new Map(contents.parts().map((part) => [part.table ?? part.path, part.chunks]));
    const large = [...chunks].find(([name]) => name.endsWith("large-objects"))?.[1];
    const source: LoadSource = {
      rows: ({ quoted }) => chunks.get(quoted)?.(),
      sequences: await contents.sequenceValues(),
      ...(large ? { largeObjects: large() } : {}),
      largeObjectPiece,
    };
    const counts = await makeAll(engine, { schema: contents.schema, source, report });
    await engine.commit();
    return Object.values(counts).reduce((sum, count) => sum + count, 0);
  } catch (error) {
    await engine.rollback();
    if (!(error instanceof StatementFailure)) throw error;
    throw new AmberError(error.code === "42501" ? "DATABASE_FORBIDDEN" : "STATEMENT_FAILED", {
      message: `Cannot make a copy of the database: ${error.message}`,
      where: engine.where,
      detail: error.detail ?? error.context,
      hint: error.hint,
      cause: error,
    });
  } finally {
    await engine.close();
  }
}

async function read(moment: PostgresMoment) {
  for (let left = tries; left > 0; left--) {
    await moment.prepare();
    await moment.pin();
    const contents = await moment.read();
    if (contents) return contents;
  }
  throw new AmberError("DATA_CHANGING", {
    message: "Cannot copy the database: tables kept being made or dropped meanwhile",
    hint: "Run this once more when no migration runs.",
  });
}
