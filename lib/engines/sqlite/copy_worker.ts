import { backup } from "node:sqlite";
import { AmberError, type ErrorCode } from "../../errors.ts";
import { openToLook } from "./open.ts";

/** What comes back; no field: it is done. */
export interface CopyReply {
  code?: ErrorCode;
  message?: string;
  where?: string;
  hint?: string;
}

// The other end of copy_live.ts: backup() is synchronous and may take minutes.
const scope = self as unknown as Worker;

/** How often a database that nothing could be locked in has changed while it was read. */
const tries = 10;

scope.onmessage = async ({ data: { path, target } }: MessageEvent<{ path: string; target: string }>) => {
  const reply = (message: CopyReply) => scope.postMessage(message);
  try {
    for (let left = tries; !await copy(path, target); left--) {
      if (left > 1) continue;
      throw new AmberError("DATABASE_BUSY", {
        message: `Cannot copy the database "${path}": it changes while it is read`,
        where: path,
        hint: "Run this once more.",
      });
    }
    reply({});
  } catch (error) {
    const { message } = error as Error;
    if (error instanceof AmberError) return reply({ code: error.code, message, where: error.where, hint: error.hint });
    const { code, errcode = 0 } = error as { code?: string; errcode?: number };
    if (code === "ENOSPC" || errcode % 256 === 13) {
      const hint = "AMBER_SCRATCH names a folder with more room.";
      return reply({
        code: "DISK_FULL",
        message: `Cannot copy the database "${path}": ${message}`,
        where: target,
        hint,
      });
    }
    reply({ code: "DATABASE_UNREADABLE", message: `Cannot copy the database "${path}": ${message}`, where: path });
  }
};

/** False: it changed meanwhile. */
async function copy(path: string, target: string): Promise<boolean> {
  const looked = openToLook(path);
  if (!looked) {
    Deno.openSync(target, { write: true, create: true, truncate: true, mode: 0o600 }).close();
    return true;
  }
  try {
    looked.database.exec("begin");
    looked.database.prepare("select 1 from sqlite_schema limit 1").get(); // now it is pinned
    // Any finite rate starts over whenever somebody else writes.
    await backup(looked.database, target, { rate: -1 });
    return looked.settled();
  } finally {
    looked.database.close();
  }
}
