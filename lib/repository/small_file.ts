import { createHash } from "node:crypto";

/**
 * A small file that is not named by its hash: one line of JSON, then a line `sha256 <64 hex digits>` over what stands
 * before it.
 */
export function sealLine(value: unknown): Uint8Array {
  const line = `${JSON.stringify(value)}\n`;
  const hash = createHash("sha256").update(line).digest("hex");
  return new TextEncoder().encode(`${line}sha256 ${hash}\n`);
}

/** What such a file holds; undefined when it is damaged. */
export function unsealLine(bytes: Uint8Array): unknown {
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return undefined;
  }
  const parts = /^([^\n]*\n)sha256 ([0-9a-f]{64})\n$/.exec(text);
  if (!parts || createHash("sha256").update(parts[1]!).digest("hex") !== parts[2]) return undefined;
  try {
    return JSON.parse(parts[1]!);
  } catch {
    return undefined;
  }
}
