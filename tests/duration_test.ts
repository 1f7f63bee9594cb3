import assert from "node:assert/strict";
import { formatDuration, parseDuration } from "../lib/duration.ts";

Deno.test("parseDuration() reads a number and its unit", () => {
  for (
    const [text, ms] of [
      ["500ms", 500],
      ["30s", 30_000],
      ["10m", 600_000],
      ["26h", 93_600_000],
      ["7d", 604_800_000],
      ["60", 60_000],
      ["0", 0],
      ["0s", 0],
      ["1.5s", 1_500],
      ["0.5", 500],
    ] as const
  ) assert.equal(parseDuration(text), ms, text);
});

Deno.test("parseDuration() refuses everything else", () => {
  const texts = [
    "",
    " ",
    "s",
    "30 s",
    " 30s",
    "30S",
    "-1s",
    "+1s",
    "1h30m",
    "1e3",
    "1.s",
    ".5s",
    "1,5s",
    "Infinity",
    "2w",
  ];
  for (const text of [...texts, "9".repeat(20), "30s\n"]) {
    assert.throws(() => parseDuration(text), { name: "AmberError", code: "USAGE", exitStatus: 2 }, text);
  }
});

Deno.test("formatDuration() shows at most two units, rounded", () => {
  for (
    const [ms, text] of [
      [0, "0 ms"],
      [-5, "0 ms"],
      [0.4, "0 ms"],
      [45, "45 ms"],
      [999.4, "999 ms"],
      [999.6, "1 s"],
      [1_000, "1 s"],
      [1_234, "1.2 s"],
      [30_000, "30 s"],
      [59_949, "59.9 s"],
      [59_950, "1 min"],
      [60_000, "1 min"],
      [200_000, "3 min 20 s"],
      [3_599_499, "59 min 59 s"],
      [3_599_500, "1 h"],
      [93_900_000, "1 d 2 h"],
      [7_500_000, "2 h 5 min"],
      [86_369_999, "23 h 59 min"],
      [86_370_000, "1 d"],
      [604_800_000, "7 d"],
    ] as const
  ) assert.equal(formatDuration(ms), text, `${ms}`);
});
