/** Repositories as somebody makes them who can write the store: everything has the right hash, and says what it wants. */
import { createHash } from "node:crypto";
import { zstdCompressSync } from "node:zlib";
import { encodeToc, packName } from "../../lib/repository/pack.ts";
import { decodeSnapshot, nameOf, type PackRef, type Snapshot } from "../../lib/repository/snapshot_file.ts";
import { type Entry, entryLines } from "../../lib/repository/tree.ts";
import type { MemoryStore } from "./memory_store.ts";

// deno-lint-ignore no-explicit-any
type Json = any;

/** Stores a snapshot file that says something else than this one. Its name, by which it can be read, even when nothing can decode it. */
export function forgeFile(store: MemoryStore, base: Snapshot, change: (value: Json) => unknown): string {
  const value = JSON.parse(new TextDecoder().decode(store.objects.get(`snapshots/${base.name}.json`)!.bytes));
  const changed = change(value) ?? value;
  const text = typeof changed === "string" ? changed : `${JSON.stringify(changed)}\n`;
  const bytes = new TextEncoder().encode(text);
  const name = nameOf(base.time, sha256(bytes));
  store.objects.set(`snapshots/${name}.json`, { bytes, timeMs: store.nowMs });
  return name;
}

/** The same, read. */
export function forgeSnapshot(store: MemoryStore, base: Snapshot, change: (value: Json) => unknown): Snapshot {
  const name = forgeFile(store, base, change);
  return decodeSnapshot(name, store.objects.get(`snapshots/${name}.json`)!.bytes);
}

/** A snapshot whose list of files is this: lines without their ends, each block of them in an own block. */
export function forgeTree(store: MemoryStore, base: Snapshot, blocks: readonly (readonly string[])[]): Snapshot {
  const contents = blocks.map((lines) => new TextEncoder().encode(lines.map((line) => `${line}\n`).join("")));
  const number = 1 + Math.max(0, ...base.packs.map((pack) => pack.number));
  const pack = storePack(store, number, [contents]);
  return forgeSnapshot(store, base, (value) => {
    value.packs.push([number, pack.hash, pack.size, pack.tocSize, pack.blocks]);
    value.facts.tree = [[contents.length, number, 0]];
  });
}

/** The lines of these entries. */
export function linesOf(entries: readonly Entry[]): string[] {
  return entries.flatMap((entry) => [...entryLines(entry)]);
}

/**
 * Stores a pack.
 *
 * @param frames The blocks of each frame.
 * @param change Changes the table of contents before the pack gets its name.
 */
export function storePack(
  store: MemoryStore,
  number: number,
  frames: readonly (readonly Uint8Array[])[],
  change?: (toc: DataView) => void,
): PackRef {
  const stored = frames.map((blocks) => ({ bytes: new Uint8Array(zstdCompressSync(joined(blocks))), blocks }));
  return storeFrames(store, number, stored, change);
}

/** The same with frames that are what they are, and blocks that they are said to hold. */
export function storeFrames(
  store: MemoryStore,
  number: number,
  frames: readonly { bytes: Uint8Array; blocks: readonly Uint8Array[] }[],
  change: (toc: DataView) => void = () => {},
): PackRef {
  const toc = encodeToc(
    frames.map(({ bytes, blocks }) => ({
      stored: bytes.length,
      sizes: blocks.map(({ length }) => length),
      hashes: joined(blocks.map((block) => createHash("sha256").update(block).digest().subarray(0, 16))),
    })),
    crypto.getRandomValues(new Uint8Array(16)),
  );
  change(new DataView(toc.buffer));
  const bytes = joined([...frames.map((frame) => frame.bytes), toc]);
  const hash = sha256(bytes);
  store.objects.set(packName(hash), { bytes, timeMs: store.nowMs });
  return {
    number,
    hash,
    size: bytes.length,
    tocSize: toc.length,
    blocks: frames.flatMap(({ blocks }) => blocks).length,
  };
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

function sha256(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}
