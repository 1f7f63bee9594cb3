/**
 * A process that wants the write locks of databases. Its arguments: their paths. Each line of stdin is a word and the
 * index of a database; each is answered with one line of JSON:
 *
 *     try N      "got", or "busy": takes the lock and lets it go
 *     hold N     takes the lock and keeps it
 *     free N     lets it go
 *     hammer N   wants it again and again
 *     calm N     ends that; how often it was got, and the longest time in between, in ms
 *     move N     again and again adds 1 in each database from N on, one after the other (needs `create table c (n)`)
 *     still N    ends that; how long each commit took, in ms
 *     pair N     again and again adds 1 in the first and the second database, in one commit
 */
import { DatabaseSync } from "node:sqlite";

const clock = new Int32Array(new SharedArrayBuffer(4));
const databases = Deno.args.map((path) => {
  const database = new DatabaseSync(path, { timeout: 0 });
  patiently(() => database.exec("pragma synchronous = normal")); // others may be at work already
  return database;
});
let hammer: { database: DatabaseSync; got: number; longestMs: number; last: number } | undefined;
let move: { from: number; commitsMs: number[] } | undefined;
let pair: DatabaseSync | undefined;
let isEnded = false;

function isBusy(error: unknown): boolean {
  return /locked/.test((error as Error).message);
}

function tryOnce(database: DatabaseSync): boolean {
  try {
    database.exec("begin immediate");
    database.exec("rollback");
    return true;
  } catch (error) {
    if (!isBusy(error)) throw error;
    return false;
  }
}

/** As an app with a patient busy handler. */
function patiently(work: () => void): void {
  for (;;) {
    try {
      return work();
    } catch (error) {
      if (!isBusy(error)) throw error;
      Atomics.wait(clock, 0, 0, 0.2);
    }
  }
}

function answer(word: string, index: number): unknown {
  const database = databases[index]!;
  switch (word) {
    case "try":
      return tryOnce(database) ? "got" : "busy";
    case "hold":
      patiently(() => database.exec("begin immediate"));
      return "held";
    case "free":
      database.exec("rollback");
      return "freed";
    case "hammer":
      hammer = { database, got: 0, longestMs: 0, last: performance.now() };
      return "hammering";
    case "calm": {
      const { got, longestMs, last } = hammer!;
      hammer = undefined;
      return { got, longestMs: Math.max(longestMs, performance.now() - last) };
    }
    case "move":
      move = { from: index, commitsMs: [] };
      return "moving";
    case "still": {
      const { commitsMs } = move!;
      move = undefined;
      return commitsMs;
    }
    case "pair":
      pair = databases[0]!;
      pair.prepare("attach ? as second").run(Deno.args[1]!);
      return "paired";
    default:
      throw new Error(`Unknown word "${word}"`);
  }
}

function hammerOnce(): void {
  if (!hammer || !tryOnce(hammer.database)) return;
  const now = performance.now();
  hammer.got++;
  hammer.longestMs = Math.max(hammer.longestMs, now - hammer.last);
  hammer.last = now;
}

function moveOnce(): void {
  if (!move) return;
  for (const database of databases.slice(move.from)) {
    const started = performance.now();
    patiently(() => database.exec("begin immediate"));
    database.exec("update c set n = n + 1");
    patiently(() => database.exec("commit"));
    move.commitsMs.push(performance.now() - started);
  }
}

const work = async () => {
  while (!isEnded) {
    for (let times = 0; times < 20; times++) hammerOnce();
    moveOnce();
    pair?.exec("begin; update main.c set n = n + 1; update second.c set n = n + 1; commit");
    await new Promise((resolve) => setTimeout(resolve, hammer || move || pair ? 0 : 2)); // lets stdin in
  }
};

const listen = async () => {
  let rest = "";
  for await (const text of Deno.stdin.readable.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + text).split("\n");
    rest = lines.pop()!;
    for (const line of lines) {
      const [word = "", index = "0"] = line.split(" ");
      console.log(JSON.stringify(answer(word, Number(index))));
    }
  }
  isEnded = true;
};

await Promise.all([work(), listen()]);
