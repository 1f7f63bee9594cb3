import assert from "node:assert/strict";
import { Progress, type ProgressOptions } from "../../lib/output/progress.ts";
import type { ProgressEvent } from "../../lib/stories/progress.ts";

const reading = (done: number, total?: number): ProgressEvent => ({
  type: "progress",
  what: "reading",
  done,
  total,
  unit: "bytes",
});

/** A progress with a clock of its own: `at(ms, event)` is what is written when the event comes at that time. */
function started(options: Partial<ProgressOptions> = {}) {
  let nowMs = 0;
  const progress = new Progress({ nowMs: () => nowMs, json: false, ...options });
  const at = (ms: number, event: ProgressEvent) => {
    nowMs = ms;
    return progress.next(event);
  };
  return { progress, at };
}

const terminal = (columns = 80) => ({ columns: () => columns });
const clear = "\r\u001b[K";

Deno.test("On a terminal one line with bar, share, rate and time left is written over in place", () => {
  const { at } = started(terminal());
  assert.equal(at(0, reading(0, 1e9)), `${clear}reading  [..........]    0 %  0 B of 1 GB`);
  assert.equal(
    at(1_000, reading(250e6, 1e9)),
    `${clear}reading  [##........]   25 %  250 MB of 1 GB  250 MB/s  3 s left`,
  );
  assert.equal(
    at(4_000, reading(1e9, 1e9)),
    `${clear}reading  [##########]  100 %  1 GB of 1 GB  250 MB/s`,
  );
});

Deno.test("On a terminal at most ten lines a second are written, however many events come", () => {
  const { at } = started(terminal());
  const times: number[] = [];
  for (let ms = 0; ms < 2_000; ms += 3) if (at(ms, reading(ms, 2_000)) !== undefined) times.push(ms);
  assert.equal(times.length, 20);
  assert.ok(times.every((ms, i) => i === 0 || ms - times[i - 1]! >= 100), `${times}`);
});

Deno.test("On a terminal a line never fills the last column, and the bar goes first when there is no room", () => {
  for (const columns of [200, 97, 96, 80, 78, 77, 60, 50, 49, 40, 30, 10, 2, 1, 0]) {
    const { at } = started(terminal(columns));
    at(0, reading(0, 1e9));
    const line = at(1_000, reading(250e6, 1e9))!.slice(clear.length);
    assert.ok(line.length <= Math.max(0, columns - 1), `${columns}: ${line}`);
    const bar = /\[[#.]+\]/.exec(line)?.[0].length;
    assert.equal(bar, columns >= 98 ? 30 : columns >= 78 ? columns - 68 : undefined, `${columns}`);
    assert.equal(/left$/.test(line), columns >= 53, line);
    if (columns === 50) assert.equal(line, "reading   25 %  250 MB of 1 GB  250 MB/s");
    if (columns === 40) assert.equal(line, "reading   25 %  250 MB of 1 GB");
  }
});

Deno.test("clear() makes room once, and the next event writes the line again", () => {
  const { progress, at } = started(terminal());
  assert.equal(progress.clear(), undefined);
  at(0, reading(1, 2));
  assert.equal(progress.clear(), clear);
  assert.equal(progress.clear(), undefined);
  assert.equal(at(50, reading(1, 2)), undefined);
  assert.match(at(100, reading(1, 2))!, /50 %/);
  assert.equal(progress.end(), clear);
  assert.equal(progress.end(), undefined);
  assert.match(at(101, reading(1, 2))!, /50 %/); // begun anew
});

Deno.test("In a log a line comes after 10 s and then every 30 s, without anything that moves a cursor", () => {
  const { progress, at } = started();
  const lines: string[] = [];
  for (let ms = 0; ms <= 100_000; ms += 250) {
    const text = at(ms, { ...reading(ms * 1_000, 100e6), what: ms < 50_000 ? "reading" : "storing" });
    if (text !== undefined) lines.push(`${ms / 1_000}: ${text}`);
  }
  assert.deepEqual(lines, [
    "10: reading  10 %  10 MB of 100 MB  1 MB/s  1 min 30 s left",
    "40: reading  40 %  40 MB of 100 MB  1 MB/s  1 min left",
    "70: storing  70 %  70 MB of 100 MB  1 MB/s  30 s left",
    "100: storing  100 %  100 MB of 100 MB  1 MB/s",
  ]);
  assert.equal(progress.clear(), undefined);
  assert.equal(progress.end(), undefined);
});

Deno.test("In a log what is over within 10 s leaves no line", () => {
  const { progress, at } = started();
  for (let ms = 0; ms < 10_000; ms += 10) assert.equal(at(ms, reading(ms, 10_000)), undefined);
  progress.end();
  assert.equal(at(10_000, reading(0, 10)), undefined);
  assert.equal(at(19_999, reading(5, 10)), undefined);
  assert.match(at(20_000, reading(6, 10))!, /^reading {2}60 %/);
});

Deno.test("With json an object comes at most once a second", () => {
  const { progress, at } = started({ json: true, ...terminal() });
  const lines: string[] = [];
  for (let ms = 0; ms < 3_000; ms += 10) {
    const text = at(ms, reading(ms, ms < 1_500 ? undefined : 3_000));
    if (text !== undefined) lines.push(text);
  }
  assert.deepEqual(lines.map((line) => JSON.parse(line)), [
    { type: "progress", what: "reading", done: 0, unit: "bytes" },
    { type: "progress", what: "reading", done: 1_000, unit: "bytes" },
    { type: "progress", what: "reading", done: 2_000, total: 3_000, unit: "bytes" },
  ]);
  assert.equal(progress.clear(), undefined);
});

Deno.test("The rate is that of the last seconds, and of this work alone", () => {
  const { at } = started(terminal(200));
  const rate = (text: string | undefined) => /(\S+ \S+)\/s/.exec(text ?? "")?.[1];
  assert.equal(rate(at(0, reading(500e6, 10e9))), undefined); // an earlier run's, which this one goes on from
  assert.equal(rate(at(400, reading(501e6, 10e9))), undefined); // too early to tell
  assert.equal(rate(at(1_000, reading(510e6, 10e9))), "10 MB");
  let text: string | undefined;
  for (let ms = 2_000; ms <= 60_000; ms += 100) text = at(ms, reading(510e6 + ms * 100_000, 10e9));
  assert.equal(rate(text), "100 MB");
  // Slow again: after 15 s nothing is left of what was quick.
  for (let ms = 60_100; ms <= 80_000; ms += 100) text = at(ms, reading(6_510e6 + (ms - 60_000) * 1_000, 10e9));
  assert.equal(rate(text), "1 MB");
  assert.equal(rate(at(80_100, { ...reading(0, 10e9), what: "storing" })), undefined);
});

Deno.test("Without a total there is neither a share nor a time left; a total that was too small is no harm", () => {
  const { at } = started(terminal());
  at(0, reading(0));
  assert.equal(at(1_000, reading(5e6)), `${clear}reading  5 MB  5 MB/s`);
  assert.match(at(2_000, reading(10e6, 8e6))!, /100 % {2}10 MB of 8 MB {2}5 MB\/s$/);
  assert.match(at(3_000, reading(0, 0))!, /100 % {2}0 B of 0 B$/);
});

Deno.test("What is counted has its name, and names hold nothing that moves a cursor", () => {
  const { at } = started(terminal(120));
  const files = (done: number): ProgressEvent => ({
    type: "progress",
    what: "checking a\u001b[2J\nb",
    done,
    total: 100_000,
    unit: "files",
  });
  at(0, files(0));
  const text = at(2_000, files(2_469))!;
  assert.match(
    text,
    /checking a\?\[2J\?b {2}\[#*\.*\] {4}2 % {2}2,469 of 100,000 files {2}1,235\/s {2}1 min 20 s left$/,
  );
});

Deno.test("A clock that is put back neither stops the lines nor makes a rate", () => {
  const { at } = started(terminal());
  at(1_000_000, reading(1, 10));
  const text = at(0, reading(2, 10));
  assert.match(text!, /20 % {2}2 B of 10 B$/);
  assert.match(at(1_000, reading(4, 10))!, /40 % {2}4 B of 10 B {2}2 B\/s {2}3 s left$/);
});
