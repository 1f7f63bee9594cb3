/** A repository with a Postgres database in it, as somebody forges it: refused in words of ours, or harmless. */
import assert from "node:assert/strict";
import { hash } from "node:crypto";
import { StoredPostgres } from "../../lib/capture/postgres/stored.ts";
import { fingerprint } from "../../lib/engines/postgres/schema/fingerprint.ts";
import { schemaSql } from "../../lib/engines/postgres/schema/schema_sql.ts";
import { AmberError } from "../../lib/errors.ts";
import { BlocksHash } from "../../lib/repository/content_hash.ts";
import { BlockPool } from "../../lib/repository/pool.ts";
import { SnapshotReader } from "../../lib/repository/reader.ts";
import { Repository } from "../../lib/repository/repository.ts";
import type { Snapshot } from "../../lib/repository/snapshot_file.ts";
import { type Entry, type FileEntry, isPath } from "../../lib/repository/tree.ts";
import { DirectoryStore } from "../../lib/stores/directory.ts";
import { diff } from "../../lib/stories/diff.ts";
import { drill } from "../../lib/stories/drill.ts";
import { exportSnapshot } from "../../lib/stories/export.ts";
import { listFiles } from "../../lib/stories/list_files.ts";
import { listSnapshots } from "../../lib/stories/snapshots.ts";
import { forgeFile, forgeSnapshot, forgeTree, linesOf, storePack } from "../support/forge.ts";
import { MemoryStore } from "../support/memory_store.ts";
import { random, runSeed } from "../support/random.ts";
import { isLong } from "../support/skip.ts";
import { copyOf } from "../support/small_repository.ts";
import { tempFolder } from "../support/temp_folder.ts";

// deno-lint-ignore no-explicit-any
type Json = any;

const stop = new AbortController().signal;
const schemaPath = "/postgres/schema.jsonl";

interface Golden {
  store: MemoryStore;
  base: Snapshot;
  entries: Entry[];
  schema: Json[];
}

async function golden(): Promise<Golden> {
  const folder = new DirectoryStore(new URL("../golden/postgres-1", import.meta.url).pathname);
  const store = new MemoryStore();
  for (const { name } of await folder.list("")) {
    store.objects.set(name, { bytes: (await folder.get(name))!, timeMs: store.nowMs });
  }
  const base = await (await Repository.open(store)).find("latest");
  using pool = new BlockPool();
  const reader = new SnapshotReader(store, base, pool);
  const entries = await Array.fromAsync(reader.entries());
  const file = entries.find(({ path }) => path === schemaPath) as FileEntry;
  const parts = await Array.fromAsync(reader.pieces(file), ({ bytes }) => new TextDecoder().decode(bytes));
  const schema = parts.join("").trim().split("\n").map((line) => JSON.parse(line));
  return { store, base, entries, schema };
}

/** A snapshot whose schema.jsonl has this text; `times`: its block stands there so often. */
function forgeSchema({ store, base, entries }: Golden, text: string, { times = 1, size = 0 } = {}): Snapshot {
  const block = new TextEncoder().encode(text);
  const number = 1 + Math.max(...base.packs.map((pack) => pack.number));
  const pack = storePack(store, number, [[block]]);
  const more = forgeSnapshot(store, base, (value) => {
    value.packs.push([number, pack.hash, pack.size, pack.tocSize, pack.blocks]);
  });
  const whole = new BlocksHash();
  for (let i = 0; i < times; i++) whole.add(hash("sha256", block, "buffer").subarray(0, 16));
  const forged = entries.map((entry): Entry =>
    entry.path !== schemaPath || entry.type !== "file" ? entry : {
      ...entry,
      size: size || block.length * times,
      contentHash: whole.digest(),
      runs: Array.from({ length: times }, () => ({ count: 1, pack: number, index: 0 })),
    }
  );
  return forgeTree(store, more, [linesOf(forged)]);
}

/** Everything that looks into it. It ends in order, or in words of ours; gives those. */
async function lookAt({ store, base }: Golden, wanted: string, scratch: string, story: string): Promise<string[]> {
  const refusals: string[] = [];
  const attempt = async (work: () => Promise<unknown>) => {
    try {
      await work();
    } catch (error) {
      assert.ok(error instanceof AmberError && error.code !== "UNEXPECTED", `${story}\n${(error as Error).stack}`);
      refusals.push(error.message);
    }
  };
  const names: string[] = [];
  using pool = new BlockPool();
  await attempt(async () => {
    const reader = new SnapshotReader(store, await (await Repository.open(store)).find(wanted), pool);
    const stored = await StoredPostgres.open(reader);
    if (!stored) return;
    fingerprint(stored.schema.objects);
    schemaSql(stored.schema);
    for (const table of stored.schema.tables) assert.ok(isPath(stored.entryOf(table)?.path ?? "a"));
  });
  await attempt(() => listSnapshots(store));
  await attempt(() => listFiles({ store, wanted, stop, report: (event) => "path" in event && names.push(event.path) }));
  await attempt(() => diff({ store, before: base.hash, after: wanted, stop, report: () => {} }));
  await attempt(() => exportSnapshot({ store, wanted, stop, report: () => {}, write: () => true }));
  const common = { by: "test@here", amber: "0.0.0", now: () => new Date(), stop, report: () => {} };
  await attempt(() => drill({ ...common, store, scratch }));
  assert.ok(names.every(isPath), story);
  return refusals;
}

const values = [
  null,
  -1,
  1e308,
  2 ** 53,
  "",
  "a\0b",
  "\ud800",
  "../..",
  "__proto__",
  [],
  {},
  [null],
  true,
  "x".repeat(70_000),
];

const rounds = isLong ? 500 : 12;

Deno.test(`hostile facts and hostile lines of the schema are refused or harmless (${rounds} each)`, async () => {
  await using folder = await tempFolder();
  const made = await golden();
  const dice = random(runSeed());
  const counts = { refused: 0, harmless: 0 };
  const spoil = (one: Json): string => {
    const key = dice.chance(0.1) ? dice.pick(["__proto__", "constructor", "is"]) : dice.pick(Object.keys(one));
    const isDeeper = typeof one[key] === "object" && one[key] !== null && Object.keys(one[key]).length > 0;
    if (isDeeper && dice.chance(0.6)) return `${key}.${spoil(one[key])}`;
    const value = dice.pick(values);
    Object.defineProperty(one, key, { value, enumerable: true, configurable: true, writable: true });
    return `${key} = ${JSON.stringify(value)?.slice(0, 40)}`;
  };
  for (let round = 0; round < rounds * 2; round++) {
    const store = copyOf(made.store);
    let what = "";
    let wanted: string;
    if (round % 2 === 0) {
      const name = forgeFile(store, made.base, (value) => void (what = `facts ${spoil(value.facts.postgres)}`));
      wanted = name.replace(/^.*-/, "");
    } else {
      const lines = structuredClone(made.schema);
      what = `line ${spoil(dice.pick(lines))}`;
      const text = lines.map((line: Json) => `${JSON.stringify(line)}\n`).join("");
      wanted = forgeSchema({ ...made, store }, text).hash;
    }
    const story = `seed ${dice.seed}, round ${round}: ${what}`;
    const refusals = await lookAt({ ...made, store }, wanted, folder.path("scratch"), story);
    counts[refusals.length > 0 ? "refused" : "harmless"]++;
  }
  console.log(`      seed ${dice.seed}: ${JSON.stringify(counts)}`);
  assert.ok(counts.refused > rounds / 4 && counts.harmless > 0);
});

const head = '{"is":"database","serverVersion":"15","serverNumber":1,"extensions":[],"notes":[]}\n';
const table = (more: Json) =>
  JSON.stringify({
    is: "table",
    schema: "public",
    name: "a",
    quoted: "public.a",
    kind: "table",
    columns: [],
    ...more,
  }) + "\n";

Deno.test("schemas that nobody wrote: none, no JSON, endless, names that no path has", async () => {
  await using folder = await tempFolder();
  const made = await golden();
  const cases: [what: string, text: string, refusal: RegExp, more?: { times: number; size: number }][] = [
    ["no head", table({}), /its schema is malformed/],
    ["no JSON", `${head}{"is":\n`, /its schema is malformed/],
    ["a line that is a number", `${head}7\n${head}null\n`, /its schema is malformed/],
    ["deep", `${"[".repeat(500_000)}\n`, /its schema is malformed/],
    ["a lone surrogate", head + table({ name: "\ud800" }), /its schema is malformed/],
    ["a column that is none", head + table({ columns: [null] }), /its schema is malformed/],
    ["an object without a section", `${head}{"is":"object","kind":"table","name":"a","sql":""}\n`, /is malformed/],
    ["many parts", `${head}${"[],".repeat(300_000)}\n`, /is larger than any/, { times: 20, size: 0 }],
    ["more than it says", head + table({}).repeat(5_000), /does not fit the file/, { times: 2_000, size: 100 }],
  ];
  for (const [what, text, refusal, more] of cases) {
    const store = copyOf(made.store);
    const { hash: wanted } = forgeSchema({ ...made, store }, text, more);
    const refusals = await lookAt({ ...made, store }, wanted, folder.path("scratch"), what);
    assert.match(refusals.join("\n"), refusal, `${what}: ${refusals.join("\n")}`);
  }
  const { rss } = Deno.memoryUsage();
  assert.ok(rss < 1 << 30, `${rss} bytes of memory`);
});

Deno.test("what lies below /postgres/ and is no file, or leads out, is refused", async () => {
  await using folder = await tempFolder();
  const made = await golden();
  const common = { m: 0o644, u: 0, g: 0, t: 1 };
  const cases: [what: string, line: Json, refusal: RegExp][] = [
    ["a path that leads out", { ...common, p: "/postgres/../x", k: "d" }, /it names the path/],
    ["an empty part", { ...common, p: "/postgres//x", k: "d" }, /it names the path/],
    ["many times the same", { ...common, p: "/postgres/".repeat(90_000) + "x", k: "d" }, /it names the path|too long/],
    ["a link", { ...common, p: "/postgres/zz", k: "l", to: "/etc/passwd" }, /is nothing of Postgres/],
    ["a folder", { ...common, p: "/postgres/zz", k: "d" }, /is nothing of Postgres/],
    ["a hard link to rows", { ...common, p: "a2", k: "h", to: schemaPath }, /is nothing of Postgres/],
  ];
  for (const [what, line, refusal] of cases) {
    const store = copyOf(made.store);
    const lines = [...linesOf(made.entries), JSON.stringify(line)];
    lines.sort((a, b) => JSON.parse(a).p < JSON.parse(b).p ? -1 : 1);
    const { hash: wanted } = forgeTree(store, made.base, [lines]);
    const refusals = await lookAt({ ...made, store }, wanted, folder.path("scratch"), what);
    assert.match(refusals.join("\n"), refusal, `${what}: ${refusals.join("\n")}`);
  }
});
