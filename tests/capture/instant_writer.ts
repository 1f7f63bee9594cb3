/**
 * One of several programs that write into a data folder at once. Its arguments: the folder and its own number. For each
 * line of stdin it tells in one line of JSON how long each of its commits to the database in WAL mode has taken since the
 * last one, in ms, and each of those to a database beside the folder, of which no snapshot is taken. It ends with stdin.
 *
 * At any moment, for each writer: `wal.db` counts as far as `old.db`, or one more; `old.db` as far as the pair, or one more;
 * the two of the pair, which are written in one commit, have one sum; each upload that `wal.db` names is there and has the
 * content whose hash is in its row; and `current-N` begins with the hash of what follows in it.
 */
import { createHash } from "node:crypto";
import { DatabaseSync } from "node:sqlite";
import { random } from "../support/random.ts";

const [folder, number] = [Deno.args[0]!, Number(Deno.args[1])];
const dice = random(number + 1);
const clock = new Int32Array(new SharedArrayBuffer(4));
const open = (name: string) => {
  const database = new DatabaseSync(`${folder}/${name}`, { timeout: 0 });
  patiently(() => database.exec("pragma synchronous = off"));
  return database;
};
const wal = open("wal.db");
const control = open("../control.db");
const old = open("old.db");
const pair = open("pair_a.db");
patiently(() => pair.prepare("attach ? as b").run(`${folder}/pair_b.db`));
patiently(() => pair.exec("pragma b.synchronous = off"));

let commitsMs: number[] = [];
let controlMs: number[] = [];
let count = 0;
let isEnded = false;

/** As an app with a patient busy handler. */
function patiently(work: () => void): void {
  for (;;) {
    try {
      return work();
    } catch (error) {
      if (!/locked/.test((error as Error).message)) throw error;
      Atomics.wait(clock, 0, 0, 0.3);
    }
  }
}

function commit(database: DatabaseSync, work: () => void): number {
  const started = performance.now();
  patiently(() => database.exec("begin immediate"));
  work();
  patiently(() => database.exec("commit"));
  return performance.now() - started;
}

function hashOf(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

/** Whole or not at all, as apps should. */
function writeFile(path: string, bytes: Uint8Array): void {
  Deno.writeFileSync(`${folder}/uploads/.new-${number}`, bytes);
  Deno.renameSync(`${folder}/uploads/.new-${number}`, `${folder}/${path}`);
}

function someBytes(): Uint8Array {
  const bytes = new Uint8Array(dice.int(1, dice.chance(0.05) ? 1_500_000 : 20_000));
  for (let i = 0; i < bytes.length; i += 397) bytes[i] = dice.int(0, 255);
  return bytes;
}

function countOn(database: DatabaseSync): void {
  database.prepare("update counts set n = ? where writer = ?").run(BigInt(count), BigInt(number));
  database.prepare("update ballast set body = randomblob(500) where id between ? and ?")
    .run(BigInt(count % 50 * 40), BigInt(count % 50 * 40 + 15));
}

function step(): void {
  count++;
  commitsMs.push(commit(wal, () => countOn(wal)));
  controlMs.push(commit(control, () => countOn(control)));
  commit(old, () => old.prepare("update counts set n = ? where writer = ?").run(BigInt(count), BigInt(number)));
  commit(pair, () => {
    const amount = BigInt(dice.int(-100, 100));
    pair.prepare("update main.money set amount = amount - ?").run(amount);
    pair.prepare("update b.money set amount = amount + ?").run(amount);
    pair.prepare("update main.counts set n = ? where writer = ?").run(BigInt(count), BigInt(number));
  });
}

/** The upload first, then the row that names it; the one that it replaces last. */
function upload(): void {
  const slot = dice.int(1, 8);
  const bytes = someBytes();
  const path = `uploads/${number}-${slot}-${count}`;
  writeFile(path, bytes);
  const [before] = wal.prepare("select path from uploads where writer = ? and slot = ?")
    .all(BigInt(number), BigInt(slot)) as { path: string }[];
  commitsMs.push(commit(wal, () => {
    wal.prepare("insert or replace into uploads (writer, slot, path, sha256) values (?, ?, ?, ?)")
      .run(BigInt(number), BigInt(slot), path, hashOf(bytes));
  }));
  if (before) Deno.removeSync(`${folder}/${before.path}`);
  const body = someBytes();
  const whole = new Uint8Array(64 + body.length);
  whole.set(new TextEncoder().encode(hashOf(body)));
  whole.set(body, 64);
  writeFile(`uploads/current-${number}`, whole);
}

const work = async () => {
  while (!isEnded) {
    step();
    if (count % 4 === 0) upload();
    await new Promise((resolve) => setTimeout(resolve, 5)); // lets stdin in, and leaves the processors to others too
  }
};

const listen = async () => {
  for await (const _ of Deno.stdin.readable) {
    console.log(JSON.stringify({ commitsMs, controlMs }));
    [commitsMs, controlMs] = [[], []];
  }
  isEnded = true;
};

await Promise.all([work(), listen()]);
