import type { HistoryRow } from "./history_row.ts";
import type { MigrationFile } from "./migration.ts";

const encoder = new TextEncoder();

/** SHA-256, 64 lower-case hex digits. node:crypto is loaded when first needed: it costs 28 ms, which the usual start saves. */
export async function sha256(data: string | Uint8Array): Promise<string> {
  const { createHash } = await import("node:crypto");
  return createHash("sha256").update(data).digest("hex");
}

/**
 * One hash over everything that decides whether there is something to do: names and raw bytes of all files, names and
 * checksums and states of all rows. Kept in the history when a `migrate` ended with nothing pending; equal to it means
 * that nothing has changed since, without parsing anything.
 */
export async function digest(files: readonly MigrationFile[], rows: readonly HistoryRow[]): Promise<string> {
  const applied = [...rows].sort((a, b) => (a.name < b.name ? -1 : 1))
    .map((row) => `${row.name}\n${row.state}\n${row.checksum}\n${row.rawHash}\n`).join("");
  const heads = files.map((file) => encoder.encode(`${file.path.split("/").at(-1)}\n${file.bytes.length}\n`));
  const head = encoder.encode(`amber digest 1\n${rows.length}\n${applied}${files.length}\n`);
  const size = head.length + files.reduce((sum, file, i) => sum + file.bytes.length + heads[i]!.length, 0);
  const all = new Uint8Array(size);
  all.set(head);
  let at = head.length;
  for (const [i, file] of files.entries()) {
    all.set(heads[i]!, at);
    all.set(file.bytes, at += heads[i]!.length);
    at += file.bytes.length;
  }
  const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", all));
  return Array.from(hash, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
