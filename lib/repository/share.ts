import { AmberError } from "../errors.ts";

/** A part of what is stored, another one each day: `count` of `of` parts. */
export interface Share {
  count: number;
  of: number;
}

/** `1/7`: a seventh a day, all of it in seven days. @throws {AmberError} USAGE */
export function parseShare(text: string): Share {
  const [, count, of] = /^(\d{1,3})\/(\d{1,3})$/.exec(text.trim()) ?? [];
  const share = { count: Number(count), of: Number(of) };
  if (share.count >= 1 && share.count <= share.of && share.of <= 100) return share;
  throw new AmberError("USAGE", {
    message: `Cannot read "${text}" as a share`,
    hint:
      "Write 1/7 for a seventh a day: another one each day, and all of it in seven. The last number is 100 at most.",
  });
}

const dayMs = 86_400_000;

/** Whether what has this hash is in the part of that day. The first byte decides, so that it is whole folders of packs. */
export function isInShare(hash: string, { count, of }: Share, nowMs: number): boolean {
  const first = Math.floor(nowMs / dayMs) * count;
  const part = parseInt(hash.slice(0, 2), 16) - first;
  return ((part % of) + of) % of < count;
}
