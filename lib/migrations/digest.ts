import type { GlanceRow } from "./history.ts";
import type { MigrationFile } from "./migration.ts";

const encoder = new TextEncoder();

/** SHA-256, 64 lower-case hex digits. node:crypto is loaded when first needed: it costs 28 ms, which the usual start saves. */
export async function sha256(data: string | Uint8Array): Promise<string> {
  const { createHash } = await import("node:crypto");
  return createHash("sha256").update(data).digest("hex");
}

/**
 * One hash over everything that decides whether there is something to do: the files, and names and checksums and states of
 * all rows. Kept in the history when a `migrate` ended with nothing pending; equal to it means that nothing has changed
 * since, without parsing anything.
 *
 * @param ofFiles filesDigest() of them.
 */
export async function digest(ofFiles: string, rows: readonly GlanceRow[]): Promise<string> {
  const applied = [...rows].sort((a, b) => (a.name < b.name ? -1 : 1))
    .map((row) => `${row.name}\n${row.state}\n${row.checksum}\n${row.rawHash}\n`).join("");
  return await hexOf(encoder.encode(`amber digest 2\n${rows.length}\n${applied}${ofFiles}\n`));
}

/** One hash over names and raw bytes of all files. A binary that carries migrations knows it without reading them. */
export async function filesDigest(files: readonly MigrationFile[]): Promise<string> {
  const names = files.map((file) => `${file.path.split("/").at(-1)}\n${file.bytes.length}\n`).join("");
  const head = encoder.encode(`amber files 1\n${files.length}\n${names}`);
  const all = new Uint8Array(files.reduce((sum, file) => sum + file.bytes.length, head.length));
  all.set(head);
  let at = head.length;
  for (const { bytes } of files) {
    all.set(bytes, at);
    at += bytes.length;
  }
  return await hexOf(all);
}

async function hexOf(bytes: Uint8Array<ArrayBuffer>): Promise<string> {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)).toHex();
}
