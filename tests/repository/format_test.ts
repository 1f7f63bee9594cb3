/** What FORMAT.md shows is what the code reads and writes. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { largeObjectPiece, rowsPath } from "../../lib/capture/postgres/paths.ts";
import { BlocksHash, ContentHash } from "../../lib/repository/content_hash.ts";
import { drillName, readDrill, writeDrill } from "../../lib/repository/drills.ts";
import { packBlockLimit, packLimit } from "../../lib/repository/pack.ts";
import { BlockPool } from "../../lib/repository/pool.ts";
import { SnapshotReader } from "../../lib/repository/reader.ts";
import { Repository } from "../../lib/repository/repository.ts";
import { RowCutter } from "../../lib/repository/row_cutter.ts";
import { sealLine, unsealLine } from "../../lib/repository/small_file.ts";
import { decodeSnapshot, encodeSnapshot, nameOf } from "../../lib/repository/snapshot_file.ts";
import { cutTree, entryLines, readTree } from "../../lib/repository/tree.ts";
import { DirectoryStore } from "../../lib/stores/directory.ts";
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

Deno.test("what FORMAT.md says of a Postgres database is what the golden one is", async () => {
  const store = new DirectoryStore(new URL("../golden/postgres-1", import.meta.url).pathname);
  using pool = new BlockPool();
  const reader = new SnapshotReader(store, await (await Repository.open(store)).find("latest"), pool);
  const facts = reader.snapshot.facts.postgres!;
  for (const field of Object.keys(facts)) {
    assert.ok(page.includes(`\`${field}\``), `FORMAT.md does not explain ${field}`);
  }
  for await (const entry of reader.entries()) {
    if (!entry.path.startsWith("/postgres/")) continue;
    assert.ok(entry.type === "file" && entry.blockSize === 0, entry.path);
    const [, name] = /^\/postgres\/([^/]+)/.exec(entry.path)!;
    assert.ok(page.includes(`| \`${name}${name === "tables" ? "/SCHEMA/TABLE" : ""}\``), `FORMAT.md has no ${name}`);
  }
  assert.ok(page.includes(rowsPath({ schema: "public", name: "More.Rows" }).slice("/postgres/".length)));
  assert.ok(page.includes(`${largeObjectPiece.toLocaleString("en")} of each piece`));

  const parts = async (path: string) => {
    for await (const entry of reader.entries()) {
      if (entry.type !== "file" || entry.path !== path) continue;
      const blocks = await Array.fromAsync(reader.pieces(entry), ({ bytes }) => new TextDecoder().decode(bytes));
      return blocks.join("");
    }
    return assert.fail(path);
  };
  const shown = example('{"is":"database"').trim().split("\n");
  const written = (await parts("/postgres/schema.jsonl")).trim().split("\n");
  const [known, kinds] = [shown, written].map((lines) => lines.map((line) => JSON.parse(line)));
  assert.deepEqual([...new Set(kinds!.map(({ is }) => is))], ["database", "object", "table", "sequence"]);
  for (const line of known!) {
    // The example has each field that such a line has, optional ones of objects aside.
    const same = kinds!.find(({ is }) => is === line.is)!;
    const optional = line.is === "object" ? ["owner", "grants", "table"] : [];
    const names = (one: object) => Object.keys(one).filter((name) => !optional.includes(name));
    assert.deepEqual(names(line), names(same));
  }
  for (const name of ["sql", "section", "owner", "grants", "table", "columns", "ownedBy"]) {
    assert.ok(page.includes(`\`${name}\``), `FORMAT.md does not explain ${name}`);
  }
  assert.match(await parts("/postgres/tables/public/notes"), /^2000\tchanged\t2026-11-24 12:00:00\+00\n/m);
  assert.match(await parts("/postgres/tables/public/notes"), /^1\tnote 1\\t\\\\ ä\t/);
  assert.match(await parts("/postgres/large-objects"), /^4711\t0\t\\\\x61206c61/);
});

Deno.test("rows are cut where FORMAT.md says", () => {
  const rows = Array.from({ length: 20_000 }, (_, i) => `${i}\t${"row ".repeat(i % 40)}${i * 7919}`);
  rows[5_000] = "long ".repeat(30_000);
  const bytes = new TextEncoder().encode(rows.map((row) => `${row}\n`).join(""));
  const isEnd = (row: Uint8Array) => {
    const rest = row.subarray(48);
    let hash = 0x811c9dc5;
    for (const byte of [...row.subarray(0, 48), ...(rest.length > 16 ? rest.subarray(-16) : rest)]) {
      hash = Math.imul(hash ^ byte, 0x01000193);
    }
    return ((hash ^ (hash >>> 15)) >>> 0) % 16 === 0;
  };
  const wanted: number[] = [];
  let size = 0;
  for (const row of rows) {
    const line = new TextEncoder().encode(row);
    let left = line.length + 1;
    if (size > 0 && size + left > 65_536) {
      wanted.push(size);
      size = 0;
    }
    for (; left > 65_536; left -= 65_536) wanted.push(65_536);
    size += left;
    if (size >= 2_048 && isEnd(line.subarray(line.length + 1 - left))) {
      wanted.push(size);
      size = 0;
    }
  }
  if (size > 0) wanted.push(size);
  const cutter = new RowCutter();
  const found: number[] = [];
  for (let at = 0, next; (next = cutter.next(bytes.subarray(at), true)) !== undefined; at += next) found.push(next);
  assert.deepEqual(found, wanted);
});
