/** Repositories as somebody might hand them to amber who wants to do harm. */
import { createHash } from "node:crypto";
import { Packer } from "../../lib/repository/packer.ts";
import { PendingList, settle } from "../../lib/repository/pending_runs.ts";
import { BlockPool } from "../../lib/repository/pool.ts";
import { SnapshotReader } from "../../lib/repository/reader.ts";
import { Repository } from "../../lib/repository/repository.ts";
import { encodeSnapshot, nameOf } from "../../lib/repository/snapshot_file.ts";
import { cutTree, entryLines } from "../../lib/repository/tree.ts";
import { DirectoryStore } from "../../lib/stores/directory.ts";
import type { Random } from "./random.ts";

/** A JSON value that may be changed in place. */
// deno-lint-ignore no-explicit-any
export type Json = any;

const paths = [
  "../escaped",
  "/etc/amber-was-here",
  "uploads/../../escaped",
  "..",
  ".",
  "",
  "/",
  "//",
  "a//b",
  "x\0y",
  "n".repeat(300),
  "d/".repeat(3000) + "d",
  "\ud800",
  "__proto__",
  "constructor",
  ".amber/restore/plan.json",
  ".amber/restore.lock",
  "prod.db-wal",
  "prod.db",
  "uploads",
  "uploads/0/inside",
  "uploads/link/through",
  "/database.db",
];

const values: Json[] = [
  ...paths,
  ...[-1, 0, 1, 511, 512, 65_536, 1e15, 2 ** 53, 2 ** 53 - 1, 1.5, -0.5, 0o104755, 0o7777],
  ...[true, false, null, [], {}, [[]], [1], [1, 1, 1], [0, 0, 0], [2 ** 40, 0, 0], [1, 99, 0], [1, 1, 2 ** 31]],
  ...[
    "0".repeat(64),
    "zz".repeat(32),
    "f",
    "d",
    "l",
    "h",
    "../../../../etc/passwd",
    "/etc/passwd",
    "a'; drop table notes; --",
  ],
];

/** One field, anywhere inside, gets a hostile value; gives what was done, for the story. */
export function poison(value: Json, dice: Random): string {
  const places: [Json, string][] = [];
  const walk = (one: Json, depth: number) => {
    if (typeof one !== "object" || one === null || depth > 6) return;
    for (const key of Object.keys(one)) {
      places.push([one, key]);
      walk(one[key], depth + 1);
    }
  };
  walk(value, 0);
  const [parent, key] = dice.pick(places);
  if (dice.chance(0.1) && !Array.isArray(parent)) {
    delete parent[key];
    return `without ${key}`;
  }
  const hostile = dice.pick(values);
  if (dice.chance(0.1) && !Array.isArray(parent)) {
    const name = dice.pick(["__proto__", "p", "x", ...paths.slice(0, 3)]);
    Object.defineProperty(parent, name, { value: hostile, enumerable: true, configurable: true, writable: true });
    return `${name} added: ${JSON.stringify(hostile).slice(0, 60)}`;
  }
  parent[key] = hostile;
  return `${key} = ${JSON.stringify(hostile).slice(0, 60)}`;
}

/**
 * A new snapshot file like the newest one, forged: lines of its tree, or the file's own fields. All hashes are right, as
 * whoever can write a repository can make them. Gives its id.
 */
export async function forge(
  folder: string,
  time: Date,
  { lines, file }: { lines?: (lines: Json[]) => void; file?: (value: Json) => void },
): Promise<string> {
  const store = new DirectoryStore(folder);
  const repository = await Repository.open(store);
  const name = (await repository.names()).at(-1)!;
  const snapshot = await repository.read(name);
  let whole = snapshot;
  if (lines) {
    using pool = new BlockPool();
    const all: Json[] = [];
    for await (const entry of new SnapshotReader(store, snapshot, pool).entries()) {
      for (const line of entryLines(entry)) all.push(JSON.parse(line));
    }
    lines(all);
    const number = 1 + Math.max(...snapshot.packs.map((pack) => pack.number));
    const random = (size: number) => crypto.getRandomValues(new Uint8Array(size));
    const packer = new Packer(store, pool, { firstNumber: number, random });
    const runs = new PendingList();
    for (const block of cutTree(all.map((line) => JSON.stringify(line)))) {
      const { at, index } = packer.add(block, createHash("sha256").update(block).digest());
      runs.push(at, index);
    }
    await packer.flush();
    const facts = { ...snapshot.facts, tree: [...settle(runs)] };
    whole = { ...snapshot, packs: [...snapshot.packs, ...packer.packs], facts };
  }
  const value = JSON.parse(new TextDecoder().decode(encodeSnapshot(whole)));
  value.time = time.toISOString();
  file?.(value);
  const bytes = new TextEncoder().encode(`${JSON.stringify(value)}\n`);
  const hash = createHash("sha256").update(bytes).digest("hex");
  await store.put(`snapshots/${nameOf(time.toISOString(), hash)}.json`, bytes);
  return hash.slice(0, 10);
}
