import assert from "node:assert/strict";
import { formatBytes } from "../lib/bytes.ts";

Deno.test("formatBytes() shows decimal units, rounded to one decimal at most", () => {
  for (
    const [size, text] of [
      [0, "0 B"],
      [-5, "0 B"],
      [0.4, "0 B"],
      [1, "1 B"],
      [812, "812 B"],
      [999, "999 B"],
      [1_000, "1 kB"],
      [1_024, "1 kB"],
      [1_050, "1.1 kB"],
      [9_949, "9.9 kB"],
      [9_950, "10 kB"],
      [99_949, "99.9 kB"],
      [99_950, "100 kB"],
      [326_400_000, "326 MB"],
      [3_812_345, "3.8 MB"],
      [999_499, "999 kB"],
      [999_500, "1 MB"],
      [999_999_999, "1 GB"],
      [1_080_000_000, "1.1 GB"],
      [50e9, "50 GB"],
      [2.5e12, "2.5 TB"],
      [Number.MAX_SAFE_INTEGER, "9 PB"],
      [5e21, "5000 EB"],
    ] as const
  ) assert.equal(formatBytes(size), text, `${size}`);
});
