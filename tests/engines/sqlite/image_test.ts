/** The main file and the log, read as files, against SQLite's own backup() of the same pinned transaction. */
import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { Barrier } from "../../../lib/engines/sqlite/barrier.ts";
import { type Image, inspectPinned, openCopy, openImage } from "../../../lib/engines/sqlite/image.ts";
import { type Pinned, Pins } from "../../../lib/engines/sqlite/pin.ts";
import { AmberError } from "../../../lib/errors.ts";
import { type Random, random, runSeed } from "../../support/random.ts";
import { isLong } from "../../support/skip.ts";
import { tempFolder } from "../../support/temp_folder.ts";
import { type Churner, startChurner } from "./churner.ts";

const pageSizes = [512, 1_024, 2_048, 4_096, 8_192, 16_384, 32_768, 65_536];
const vacuums = ["none", "full", "incremental"];
const options = { stop: new AbortController().signal, report: () => {} };

/** What kinds of images there were, so that the test is known to have seen them. */
interface Seen {
  images: number;
  mainAlone: number;
  withLog: number;
  partlyBackfilled: number;
  grown: number; // more pages than the main file had
  shrunk: number; // fewer
  changedMeanwhile: number; // the files were written while they were read
  copied: number; // could not be read directly
  distinct: Set<string>;
}

Deno.test(`${isLong ? "10,000" : "300"} images of databases that others change equal backup()'s, of all page sizes`, async () => {
  const chance = random(runSeed());
  const perDatabase = Math.ceil((isLong ? 10_000 : 300) / (pageSizes.length * vacuums.length));
  const seen: Seen = {
    images: 0,
    mainAlone: 0,
    withLog: 0,
    partlyBackfilled: 0,
    grown: 0,
    shrunk: 0,
    changedMeanwhile: 0,
    copied: 0,
    distinct: new Set(),
  };
  try {
    await using writers = await Writers.start();
    for (const pageSize of pageSizes) {
      for (const vacuum of vacuums) {
        await using folder = await tempFolder();
        const path = folder.path("some.db");
        createDatabase(path, pageSize, vacuum);
        await writers.turnTo(path, chance);
        await compareImages(path, folder.path("copy.db"), perDatabase, chance, seen, writers);
        await writers.rest();
      }
    }
  } catch (error) {
    console.log(`AMBER_TEST_SEED=${chance.seed}`);
    throw error;
  }
  const { distinct, ...counts } = seen;
  console.log(`images: ${JSON.stringify({ ...counts, distinct: distinct.size })}`);
  assert.equal(seen.copied, 0);
  const some = seen.images / 100;
  for (const kind of ["mainAlone", "withLog", "partlyBackfilled", "grown", "shrunk", "changedMeanwhile"] as const) {
    assert.ok(seen[kind] >= some, `only ${seen[kind]} of ${seen.images} images were ${kind}`);
  }
  assert.ok(distinct.size > seen.images / 2, `only ${distinct.size} different images of ${seen.images}`);
});

async function compareImages(
  path: string,
  target: string,
  count: number,
  chance: Random,
  seen: Seen,
  writers: Writers,
) {
  using barrier = await Barrier.open([path], { ...options, waitMs: 60_000 });
  await using pins = await Pins.open([path]);
  assert.deepEqual([barrier.databases, [...barrier.unheld], [...pins.failed]], [[path], [], []]);
  for (let left = count; left > 0; left--) {
    if (left === count >> 1) await writers.killOne(path, chance);
    await barrier.hold();
    const pinned = (await pins.pin()).get(path)!;
    const source = inspectPinned(pinned, { isHeld: barrier.isHeld(path) });
    const mainBytes = Deno.statSync(path).size;
    barrier.release();
    seen.images++;
    if (source === undefined) {
      seen.copied++;
      await pins.unpin(path);
      continue;
    }
    const before = stampOf(path);
    using image = openImage(source);
    const bytes = await readAtRandom(image, chance);
    if (stampOf(path) !== before) seen.changedMeanwhile++;
    await pins.copy(path, target);
    const oracle = readWhole(target, pinned);
    Deno.removeSync(target);
    assertSame(
      bytes,
      oracle,
      `image ${seen.images} of pages of ${image.pageSize}: ${JSON.stringify(source.wal?.index)}`,
    );
    if (left % 10 === 0) assertSound(bytes, target);
    await pins.unpin(path);

    if (source.wal === undefined) seen.mainAlone++;
    else {
      seen.withLog++;
      if (source.wal.index.backfilled > 0) seen.partlyBackfilled++;
      if (image.size > mainBytes) seen.grown++;
      if (image.size < mainBytes) seen.shrunk++;
    }
    seen.distinct.add(new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)).toHex());
  }
}

/** All of it, in pieces of any size and in any order, with pauses in which others may write. */
async function readAtRandom(image: Image, chance: Random): Promise<Uint8Array<ArrayBuffer>> {
  const whole = new Uint8Array(image.size);
  const pieces: [first: number, count: number][] = [];
  for (let first = 0; first < image.pages;) {
    const count = Math.min(image.pages - first, chance.int(1, Math.ceil(image.pages / 4)));
    pieces.push([first, count]);
    first += count;
  }
  const memory = new Uint8Array(new SharedArrayBuffer(image.size)).fill(0xa5); // used before, as others do
  for (const [first, count] of chance.shuffle(pieces)) {
    const into = chance.chance(0.5) ? memory.subarray(0, count * image.pageSize) : undefined;
    whole.set(image.read<ArrayBufferLike>(first, count, into), first * image.pageSize);
    await new Promise((resolve) => setTimeout(resolve, chance.int(0, 3)));
  }
  return whole;
}

function readWhole(path: string, pinned: Pinned): Uint8Array<ArrayBuffer> {
  using image = openCopy(path, pinned);
  return image.read(0, image.pages);
}

/** Equal but for what backup() itself writes on page 1: change counter, schema cookie, and who wrote last. */
function assertSame(image: Uint8Array, oracle: Uint8Array, what: string): void {
  assert.equal(image.length, oracle.length, what);
  for (const bytes of [image, oracle]) {
    for (const [from, to] of [[24, 28], [40, 44], [92, 100]]) bytes.fill(0, from, to);
  }
  for (let index = 0; index < image.length; index++) {
    if (image[index] !== oracle[index]) assert.fail(`${what}: byte ${index} of ${image.length} differs`);
  }
}

/** SQLite itself finds nothing wrong with it. */
function assertSound(image: Uint8Array, path: string): void {
  Deno.writeFileSync(path, image);
  const database = new DatabaseSync(`file://${path}?immutable=1`, { readOnly: true });
  assert.deepEqual(database.prepare("pragma integrity_check").all().map((row) => row.integrity_check), ["ok"]);
  database.close();
  Deno.removeSync(path);
}

function createDatabase(path: string, pageSize: number, vacuum: string): void {
  const database = new DatabaseSync(path);
  database.exec(`pragma page_size = ${pageSize}; pragma auto_vacuum = ${vacuum}; pragma journal_mode = wal;
    create table t (id integer primary key, body blob); create index t_size on t (length(body))`);
  assert.equal(database.prepare("pragma page_size").get()!.page_size, pageSize);
  database.close();
}

Deno.test("a log of 10,000 frames gives each page's last one, and of a shrunken database no more than it has", async () => {
  await using folder = await tempFolder();
  const path = folder.path("some.db");
  createDatabase(path, 512, "none");
  const writer = new DatabaseSync(path);
  writer.exec("pragma wal_autocheckpoint = 0; pragma synchronous = off");
  for (let round = 0; round < 10; round++) {
    writer.exec(`begin; delete from t where id % 3 = 0;
      insert into t (body) select randomblob(400) from (with recursive n(i) as (select 1 union all select i + 1 from n
      where i < 900) select i from n); commit`);
  }
  for (const change of ["select 1", "delete from t where id % 50 > 0; vacuum"]) {
    writer.exec(change);
    await using pins = await Pins.open([path]);
    const pinned = (await pins.pin()).get(path)!;
    const source = inspectPinned(pinned, { isHeld: true })!;
    assert.ok(source.wal!.index.lastFrame > 10_000, `${source.wal!.index.lastFrame} frames`);
    using image = openImage(source);
    await pins.copy(path, folder.path("copy.db"));
    assertSame(image.read(0, image.pages), readWhole(folder.path("copy.db"), pinned), change);
    await Deno.remove(folder.path("copy.db"));
  }
  writer.close();
});

Deno.test("an image is refused, not made up, when the files are not what SQLite left", async () => {
  for (
    const [what, spoil, says] of [
      ["the main file cut", (path: string) => Deno.truncateSync(path, 3 * 4_096), /page 4 of \d+ is missing/],
      ["the log cut", (path: string) => Deno.truncateSync(`${path}-wal`, 32 + 24 + 4_096), /-wal file was cut off/],
      ["another log's frame", (path: string) => poke(`${path}-wal`, 32 + 8, 0xff), /not the one that was pinned/],
      ["another page's frame", (path: string) => poke(`${path}-wal`, 32 + 2, 0xff), /frame 1 of its -wal file is page/],
      ["the log begun anew", (path: string) => poke(`${path}-wal`, 16, 0xff), /not the one that was pinned/],
    ] as const
  ) {
    await using folder = await tempFolder();
    const path = folder.path("some.db");
    createDatabase(path, 4_096, "none");
    const writer = new DatabaseSync(path);
    for (let row = 0; row < 20; row++) writer.exec("insert into t (body) values (randomblob(3000))");
    writer.exec("pragma wal_checkpoint(truncate); insert into t (body) values (randomblob(3000))");
    await using pins = await Pins.open([path]);
    const pinned = (await pins.pin()).get(path)!;
    const source = inspectPinned(pinned, { isHeld: true })!;
    spoil(path);
    assert.throws(
      () => {
        using image = openImage(source);
        image.read(0, image.pages);
      },
      (error) => error instanceof AmberError && error.code === "DATABASE_UNREADABLE" && says.test(error.message),
      what,
    );
    writer.close();
  }
});

Deno.test("what cannot be read directly is left to SQLite", async () => {
  await using folder = await tempFolder();
  const path = folder.path("some.db");
  createDatabase(path, 4_096, "none");
  const writer = new DatabaseSync(path);
  writer.exec("insert into t (body) values (1)");
  await using pins = await Pins.open([path]);
  const pinned = (await pins.pin()).get(path)!;
  assert.ok(inspectPinned(pinned, { isHeld: true }));
  assert.equal(inspectPinned(pinned, { isHeld: false }), undefined, "others may have committed since");
  assert.equal(inspectPinned({ ...pinned, inode: pinned.inode + 1 }, { isHeld: true }), undefined, "another file");
  assert.equal(inspectPinned({ ...pinned, pages: pinned.pages + 1 }, { isHeld: true }), undefined, "a later commit");
  assert.equal(inspectPinned({ ...pinned, access: "unchanging" }, { isHeld: true }), undefined);
  writer.close();
});

Deno.test("an empty database has an image of no pages, and pages that there are not are an error", async () => {
  await using folder = await tempFolder({ "empty.db": "" });
  const path = folder.path("empty.db");
  await using pins = await Pins.open([path]);
  const pinned = (await pins.pin()).get(path)!;
  using image = openImage(inspectPinned(pinned, { isHeld: true })!);
  assert.deepEqual([image.pages, image.size, image.read(0, 0).length], [0, 0, 0]);
  assert.throws(() => image.read(0, 1), RangeError);
  assert.throws(() => image.read(0, 0, new Uint8Array(1)), RangeError);
  image.close();
  assert.throws(() => image.read(0, 0), /closed/);
});

function poke(path: string, at: number, byte: number): void {
  using file = Deno.openSync(path, { read: true, write: true });
  file.seekSync(at, Deno.SeekMode.Start);
  file.writeSync(Uint8Array.of(byte));
}

function stampOf(path: string): string {
  const facts = [path, `${path}-wal`].map((one) => Deno.statSync(one));
  return facts.map(({ size, mtime }) => `${size} ${mtime?.getTime()}`).join();
}

class Writers implements AsyncDisposable {
  private constructor(private readonly writers: Churner[]) {}

  // deno-lint-ignore require-await
  static async start(): Promise<Writers> {
    return new Writers([startChurner(), startChurner()]);
  }

  async turnTo(path: string, chance: Random): Promise<void> {
    for (const writer of this.writers) await writer.turnTo(path, chance.int(1, 2 ** 31));
  }

  async rest(): Promise<void> {
    for (const writer of this.writers) await writer.rest();
  }

  /** One is killed, whatever it is doing, and another takes its place. */
  async killOne(path: string, chance: Random): Promise<void> {
    await this.writers.pop()!.kill();
    const next = startChurner();
    this.writers.push(next);
    await next.turnTo(path, chance.int(1, 2 ** 31));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const writer of this.writers) await writer[Symbol.asyncDispose]();
  }
}
