import { backup, DatabaseSync } from "node:sqlite";
import { fileUrl } from "../../fs.ts";
import { appTableCount, busyError } from "./put_image.ts";
import { isBusy } from "./statement.ts";

// The other end of put_image.ts: backup() is synchronous, and waits for as long as somebody has the database locked.
export interface PutRequest {
  image: string;
  live: string;
  waitMs: number;
  onlyIfEmpty: boolean;
}

export type PutMessage =
  | { type: "done" }
  | { type: "waiting"; remainingMs: number }
  | { type: "failed"; code: string; message: string; where?: string; hint?: string };

const scope = self as unknown as Worker; // the same two words as a worker has on its outside
const clock = new Int32Array(new SharedArrayBuffer(4));
const pollMs = 0.5;

scope.onmessage = async ({ data }: MessageEvent<PutRequest>) => {
  const post = (message: PutMessage) => scope.postMessage(message);
  try {
    post(await put(data, post));
  } catch (error) {
    post(explain(error, data.live));
  }
};

async function put(request: PutRequest, post: (message: PutMessage) => void): Promise<PutMessage> {
  const { image, live } = request;
  const options = { timeout: 0, enableForeignKeyConstraints: false, allowExtension: false, defensive: true };
  // Open until the end: the lock that it was given says that the copy will hardly have to wait, and that it can be written.
  using guard = new DatabaseSync(`${fileUrl(live)}?mode=rw`, options);
  guard.exec("pragma trusted_schema = off");
  const refusal = hold(guard, request, post);
  if (refusal) return refusal;
  using source = new DatabaseSync(`${fileUrl(image)}?mode=rw`, options);
  guard.exec("rollback");
  await backup(source, live, { rate: -1 });
  return { type: "done" };
}

/** Takes the write lock, so that the copy can follow at once. Gives what is wrong, if anything. */
function hold(guard: DatabaseSync, request: PutRequest, post: (message: PutMessage) => void): PutMessage | undefined {
  const { live, waitMs, onlyIfEmpty } = request;
  const started = performance.now();
  let told = started;
  for (;;) {
    try {
      guard.exec("begin exclusive");
      break;
    } catch (error) {
      if (!isBusy(error)) throw error;
    }
    const now = performance.now();
    if (now - started >= waitMs) {
      const { code, message, where, hint } = busyError(live, now - started);
      return { type: "failed", code, message, where, hint };
    }
    if (now - told > 2_000) {
      told = now;
      post({ type: "waiting", remainingMs: waitMs - (now - started) });
    }
    Atomics.wait(clock, 0, 0, pollMs);
  }
  if (!onlyIfEmpty || appTableCount(guard) === 0) return undefined;
  guard.exec("rollback");
  return {
    type: "failed",
    code: "RESTORE_BLOCKED",
    message: `Cannot restore into the database "${live}": it was empty, and somebody has made tables in it meanwhile`,
    where: live,
    hint:
      "Nothing in it was touched. Start only one thing that fills an empty database; amber restore --discard drops this restore.",
  };
}

function explain(error: unknown, live: string): PutMessage {
  const { message, errcode = 0 } = error as { message: string; errcode?: number };
  if (errcode % 256 === 13 || /disk is full/.test(message)) {
    return {
      type: "failed",
      code: "DISK_FULL",
      message: `Cannot write the database "${live}": the disk is full`,
      where: live,
      hint: "Make room on the disk, then run the same restore again: it goes on where it was.",
    };
  }
  return {
    type: "failed",
    code: "RESTORE_BLOCKED",
    message: `Cannot write the database "${live}" through SQLite: ${message}`,
    where: live,
    hint: "Stop the server, then run the same restore again with --replace.",
  };
}
