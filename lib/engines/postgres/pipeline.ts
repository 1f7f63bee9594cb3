import { type Runnable, StatementFailure } from "../engine.ts";
import type { Connection } from "./connection.ts";

/** How long a statement that stops others may wait for its lock before it lets the others pass. */
export const shortLockMs = 2_000;
/** Statements on their way to the server at once: hides the network's delay, bounds what an error leaves behind. */
const windowSize = 64;

/**
 * Sends statements one after another, in a transaction without waiting for each answer: what follows the first that
 * fails is refused by the server. Outside a transaction nothing would undo it, so there each is waited for.
 *
 * @param mark Goes in front of every statement as a comment, so that the session can be recognised behind a pooler.
 * @throws {StatementFailure} with the index of the first that failed.
 */
export async function sendAll(
  connection: Connection,
  statements: readonly Runnable[],
  options: { inTransaction: boolean; mark?: string; stop: AbortSignal },
): Promise<void> {
  const sent: { index: number; done: Promise<unknown> }[] = [];
  const mark = options.mark ? `/* ${options.mark} */ ` : "";
  const send = (index: number, text: string) => {
    const done = connection.query(mark + text);
    done.catch(() => {}); // seen below, in order; what follows the first failure is only its echo
    sent.push({ index, done });
  };
  const settleUntil = async (size: number) => {
    while (sent.length > size) {
      const { index, done } = sent.shift()!;
      await done.catch((error) => blame(error, index, mark.length));
    }
  };
  let lockWait: Runnable["lockWait"] = "none"; // as begin() leaves it
  for (const [index, statement] of statements.entries()) {
    options.stop.throwIfAborted();
    const wanted = statement.lockWait ?? "none";
    if (options.inTransaction && wanted !== lockWait && wanted !== "own") {
      send(index, `set local lock_timeout = ${wanted === "short" ? shortLockMs : 0}`);
      lockWait = wanted;
    }
    if (statement.data === undefined) send(index, statement.text);
    else {
      await settleUntil(0);
      await connection.copyIn(statement.text, statement.data).catch((error) => blame(error, index, 0));
    }
    await settleUntil(options.inTransaction ? windowSize - 1 : 0);
  }
  await settleUntil(0);
}

function blame(error: unknown, index: number, markLength: number): never {
  if (error instanceof StatementFailure) {
    error.index = index;
    if (error.offset !== undefined) error.offset = Math.max(0, error.offset - markLength);
  }
  throw error;
}
