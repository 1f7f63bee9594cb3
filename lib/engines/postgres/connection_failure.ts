import { StatementFailure } from "../engine.ts";

/** A connection that ended without being asked to. What was in its transaction is rolled back by the server. */
export class ConnectionLost extends Error {
  constructor(cause?: unknown) {
    super("the connection to the server was lost", { cause });
    this.name = "ConnectionLost";
  }
}

/** How the driver and the socket under it say that the other side is gone. */
const lostCodes = new Set([
  "CONNECTION_CLOSED",
  "CONNECTION_DESTROYED",
  "CONNECTION_ENDED",
  "ECONNRESET",
  "EPIPE",
  "ERR_STREAM_DESTROYED",
  "ERR_STREAM_WRITE_AFTER_END",
  "ETIMEDOUT",
]);

/** The driver's error as ours. `position` counts characters from 1 over the whole text. */
export function failure(error: unknown, text: string): unknown {
  const raw = error as Record<string, string | undefined> & Error;
  if (raw?.name !== "PostgresError") {
    return lostCodes.has(raw?.code ?? "") ? new ConnectionLost(error) : error;
  }
  return new StatementFailure(raw.message, {
    code: raw.code,
    offset: raw.position === undefined ? undefined : utf16Offset(text, Number(raw.position) - 1),
    detail: raw.detail,
    hint: raw.hint,
    context: raw.where,
    cause: error,
  });
}

function utf16Offset(text: string, characters: number): number {
  let offset = 0;
  for (let i = 0; i < characters && offset < text.length; i++) offset += text.codePointAt(offset)! > 0xffff ? 2 : 1;
  return offset;
}
