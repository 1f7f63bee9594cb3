/** What FORMAT.md shows is what the code reads and writes. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { BlocksHash, ContentHash } from "../../lib/repository/content_hash.ts";
import { drillName, readDrill, writeDrill } from "../../lib/repository/drills.ts";
import { packBlockLimit, packLimit } from "../../lib/repository/pack.ts";
import { sealLine, unsealLine } from "../../lib/repository/small_file.ts";
import { decodeSnapshot, encodeSnapshot, nameOf } from "../../lib/repository/snapshot_file.ts";
import { cutTree, entryLines, readTree } from "../../lib/repository/tree.ts";
import { MemoryStore } from "../support/memory_store.ts";

const page = Deno.readTextFileSync(new URL("../../lib/repository/FORMAT.md", import.meta.url));

/** The block of code below a heading that begins with this text. */
function example(beginning: string): string {
  const block = page.split("```").find((part, i) => i % 2 === 1 && part.startsWith(`\n${beginning}`));
  assert.ok(block !== undefined, `FORMAT.md shows nothing that begins with ${beginning}`);
  return block.slice(1);
}

Deno.test("amber.json in FORMAT.md is a small file as the code seals it", () => {
  const text = example('{"repository"');
  const value = unsealLine(new TextEncoder().encode(text));
  assert.ok(value !== undefined);
  assert.equal(new TextDecoder().decode(sealLine(value)), text);
});

Deno.test("the snapshot file in FORMAT.md has the name that stands there, and is what the code writes", () => {
  const bytes = new TextEncoder().encode(example('{"format":1,"kind"'));
  const [, name] = /`(\d{8}T\d{6}Z-[0-9a-f]{64})\.json`/.exec(page)!;
  const snapshot = decodeSnapshot(name!, bytes);
  assert.equal(nameOf(snapshot.time, createHash("sha256").update(bytes).digest("hex")), name);
  assert.deepEqual(encodeSnapshot(snapshot), bytes);
  for (const field of [...Object.keys(JSON.parse(new TextDecoder().decode(bytes))), ...Object.keys(snapshot.facts)]) {
    assert.ok(page.includes(`\`${field}\``), `FORMAT.md does not explain ${field}`);
  }
});

Deno.test("the tree in FORMAT.md is read, and written again as it was", async () => {
  const text = example('{"p":"app.db"');
  async function* blocks() {
    yield await Promise.resolve(new TextEncoder().encode(text));
  }
  const entries = await Array.fromAsync(readTree(blocks()));
  assert.deepEqual(entries.map(({ type }) => type), ["file", "folder", "file", "hardlink", "link"]);
  assert.equal(entries.flatMap((entry) => [...entryLines(entry)]).map((line) => `${line}\n`).join(""), text);
  for (const field of new Set(text.split("\n").filter(Boolean).flatMap((line) => Object.keys(JSON.parse(line))))) {
    assert.ok(page.includes(`\`${field}\``), `FORMAT.md does not explain ${field}`);
  }
});

Deno.test("the hash of a database is the one that FORMAT.md shows, from its bytes and from its blocks' hashes", () => {
  const [, shown] = /in blocks of 512,\s+`([0-9a-f]{64})`/.exec(page)!;
  const bytes = new Uint8Array(1536);
  bytes.fill(97, 0, 512);
  bytes.fill(98, 1024);
  const whole = new ContentHash({ database: true, blockSize: 512 });
  whole.update(bytes);
  assert.equal(whole.digest(), shown);
  const blocks = new BlocksHash();
  blocks.add(createHash("sha256").update(bytes.subarray(0, 512)).digest().subarray(0, 16));
  blocks.addHoles(1);
  blocks.add(createHash("sha256").update(bytes.subarray(1024)).digest().subarray(0, 16));
  assert.equal(blocks.digest(), shown);
  const file = new ContentHash({ database: false, blockSize: 512 });
  file.update(bytes);
  assert.equal(file.digest(), createHash("sha256").update(bytes).digest("hex"));
});

Deno.test("a tree is cut where FORMAT.md says", () => {
  const lines = Array.from({ length: 5_000 }, (_, i) => `{"p":"file ${i}","m":420,"u":0,"g":0,"t":0,"k":"d"}`);
  const isEnd = (line: string) => {
    let hash = 0x811c9dc5;
    for (const unit of line.slice(0, line.indexOf(',"m":'))) hash = Math.imul(hash ^ unit.charCodeAt(0), 0x01000193);
    return ((hash ^ (hash >>> 15)) >>> 0) % 64 === 0;
  };
  const ends = [...cutTree(lines)].map((block) => new TextDecoder().decode(block).trimEnd().split("\n").at(-1)!);
  assert.ok(ends.length > 20);
  assert.deepEqual(ends.slice(0, -1).filter((line) => !isEnd(line)), []);
});

Deno.test("every field of a drill is explained, and the bounds are those of the code", async () => {
  const drill = {
    ...{ snapshot: "a".repeat(64), time: "2026-11-24T18:00:00.000Z", durationMs: 5, by: "app@host", amber: "0.1.0" },
    ...{ ok: true, problems: [], notes: [], files: 2, bytes: 20_483, databases: 1, rows: 12 },
  };
  const store = new MemoryStore();
  await writeDrill(store, drill);
  const kept = await readDrill(store, drillName(drill));
  for (const field of Object.keys(kept!)) {
    assert.ok(page.includes(`\`${field}\``), `FORMAT.md does not explain ${field}`);
  }
  assert.ok(page.includes(`${packLimit / 2 ** 20} MiB or ${packBlockLimit.toLocaleString("en")} blocks`));
});
