import { Buffer } from "node:buffer";
import type { PostgresAddress } from "../../database_url.ts";
import { openSocket, ReachFailure } from "./socket.ts";

/** What the server gave at the greeting, so that another connection may speak for this one. */
export interface CancelKey {
  pid: number;
  secret: number;
}

const requestCode = 80877102;
/** How long a server may take to hear that a statement shall stop. */
const timeoutMs = 5_000;

/**
 * Asks the server to stop what `key`'s session does now. Returns when the server has closed the connection, which it
 * does after it has passed the word on: a session that is idle by then takes no notice, and its next statement is not
 * hit. Never rejects: a server that is out of reach is noticed by those who wait for it.
 */
export async function requestCancel(address: PostgresAddress, { pid, secret }: CancelKey): Promise<void> {
  const request = Buffer.alloc(16);
  request.writeInt32BE(16, 0);
  request.writeInt32BE(requestCode, 4);
  request.writeUInt32BE(pid >>> 0, 8);
  request.writeUInt32BE(secret >>> 0, 12);
  try {
    const socket = await openSocket(address, timeoutMs);
    await new Promise<void>((resolve) => {
      const timer = setTimeout(() => socket.destroy(), timeoutMs);
      socket.on("error", () => {}); // "close" follows
      socket.once("close", () => (clearTimeout(timer), resolve()));
      socket.resume();
      socket.write(request);
    });
  } catch (error) {
    if (!(error instanceof ReachFailure)) throw error;
  }
}
