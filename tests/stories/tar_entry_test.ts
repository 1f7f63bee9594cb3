import assert from "node:assert/strict";
import { createTarPacker } from "modern-tar";
import { fileBlockSize, type FileEntry } from "../../lib/repository/tree.ts";
import { tarHeader } from "../../lib/stories/tar_entry.ts";
import { command } from "../support/command.ts";
import { testWith } from "../support/skip.ts";
import { tempFolder } from "../support/temp_folder.ts";

const plain: FileEntry = {
  type: "file",
  path: "a",
  mode: 0o4755,
  uid: 1000,
  gid: 1000,
  mtimeMs: 1_700_000_000_000,
  size: 5,
  inode: 1,
  blockSize: fileBlockSize,
  database: false,
  runs: [],
};

const cases: { what: string; entry: Partial<FileEntry>; says: string }[] = [
  { what: "a plain file", entry: {}, says: "a 5 1000 4755 1700000000" },
  { what: "milliseconds", entry: { mtimeMs: 1_700_000_000_123 }, says: "a 5 1000 4755 1700000000.123" },
  { what: "before 1970", entry: { mtimeMs: -1_500 }, says: "a 5 1000 4755 -1.5" },
  { what: "a second before 1970", entry: { mtimeMs: -1_000 }, says: "a 5 1000 4755 -1" },
  { what: "the year 2300", entry: { mtimeMs: 10_413_792_000_000 }, says: "a 5 1000 4755 10413792000" },
  { what: "9 GiB", entry: { size: 9 * 2 ** 30 }, says: "a 9663676416 1000 4755 1700000000" },
  { what: "8 GiB less one", entry: { size: 8 * 2 ** 30 - 1 }, says: "a 8589934591 1000 4755 1700000000" },
  { what: "the last user", entry: { uid: 0xffff_fffe }, says: "a 5 4294967294 4755 1700000000" },
  { what: "a newline", entry: { path: "a\nb" }, says: "a\\nb 5 1000 4755 1700000000" },
  { what: "not ASCII", entry: { path: "größe/日本" }, says: "größe/日本 5 1000 4755 1700000000" },
  {
    what: "255 bytes",
    entry: { path: `${"d".repeat(255)}/${"é".repeat(127)}` },
    says: `${"d".repeat(255)}/${"é".repeat(127)} 5 1000 4755 1700000000`,
  },
];

testWith("python3", "a header says all that a snapshot knows, also what the old format has no room for", async () => {
  await using folder = await tempFolder();
  const script = `
import sys, tarfile
for path in sys.argv[1:]:
    one = tarfile.open(path).next()
    print(one.name.replace("\\n", "\\\\n"), one.size, one.uid, oct(one.mode)[2:], repr(one.mtime).removesuffix(".0"))`;
  const paths = await Promise.all(cases.map(async ({ entry }, i) => {
    const whole = { ...plain, ...entry };
    await folder.write({ [`${i}.tar`]: await headerOf(whole) });
    return `${i}.tar`;
  }));
  const { stdout, stderr } = await command("python3", ["-c", script, ...paths], {
    cwd: folder.root,
    env: { PYTHONUTF8: "1" },
  });
  assert.equal(stderr, "");
  assert.deepEqual(
    stdout.trim().split("\n").map((says, i) => ({ what: cases[i]!.what, says })),
    cases.map(({ what, says }) => ({ what, says })),
  );
});

/** The first bytes of a tar with this file, before its content. */
async function headerOf(entry: FileEntry): Promise<Uint8Array> {
  const { readable, controller } = createTarPacker();
  const body = controller.add(tarHeader(entry, entry.path));
  const reader = readable.getReader();
  const bytes: number[] = [];
  while (bytes.length < headerSize(bytes)) bytes.push(...(await reader.read()).value!);
  await reader.cancel();
  await body.abort().catch(() => {}); // nothing of the content was written
  return new Uint8Array(bytes);
}

/** An extended header has a block of its own, and its content in others, before the header itself. */
function headerSize(bytes: number[]): number {
  if (bytes.length < 512 || bytes[156] !== "x".charCodeAt(0)) return 512;
  const extended = parseInt(String.fromCharCode(...bytes.slice(124, 135)), 8);
  return 512 + Math.ceil(extended / 512) * 512 + 512;
}
