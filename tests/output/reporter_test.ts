import assert from "node:assert/strict";
import { AmberError } from "../../lib/errors.ts";
import { Reporter, type Streams } from "../../lib/output/reporter.ts";
import { redactor } from "../../lib/secrets.ts";
import type { ProgressEvent } from "../../lib/stories/progress.ts";

const clear = "\r\u001b[K";

/** Everything that is written, in order, and a clock to be moved. */
function written(more: Partial<Streams> & { json?: boolean; secrets?: string[] } = {}) {
  const { json = false, secrets = [], ...streams } = more;
  const texts: string[] = [];
  let nowMs = 0;
  const reporter = new Reporter({
    stdout: (text) => texts.push(`out ${text}`),
    stderr: (text) => texts.push(`err ${text}`),
    now: () => new Date(nowMs),
    ...streams,
  }, { json, colour: false, redact: redactor([]) }).hiding(redactor(secrets));
  const progress = (ms: number, done: number, what = "reading") => {
    nowMs = ms;
    const event: ProgressEvent = { type: "progress", what, done, total: 10, unit: "files" };
    reporter.event(event);
  };
  return { reporter, texts, progress };
}

const terminal = { columns: () => 40 };
const line = (share: number, done: number) => `err ${clear}reading  ${`${share} %`.padStart(5)}  ${done} of 10 files`;

Deno.test("Progress is taken off the terminal before anything else is written there", () => {
  const { reporter, texts, progress } = written(terminal);
  progress(0, 1);
  reporter.event({ type: "note", message: "first" });
  reporter.event({ type: "note", message: "second" });
  progress(150, 2);
  reporter.event({ type: "applied", name: "0001_a", durationMs: 5 });
  progress(160, 3); // too soon after the last one
  progress(300, 4);
  reporter.makeRoom();
  progress(450, 5);
  reporter.outcome({ result: {}, lines: ["Done."] });
  assert.deepEqual(texts, [
    line(10, 1),
    `err ${clear}`,
    "err note  first\n",
    "err note  second\n",
    line(20, 2),
    `err ${clear}`,
    "out   applied   0001_a  5 ms\n",
    line(40, 4),
    `err ${clear}`,
    line(50, 5),
    `err ${clear}`,
    "out Done.\n",
  ]);
});

Deno.test("Progress is gone before an error, and after an outcome that has nothing to say", () => {
  for (const isError of [true, false]) {
    const { reporter, texts, progress } = written(terminal);
    progress(0, 1);
    if (isError) reporter.error(new AmberError("DISK_FULL", { message: "Cannot store" }));
    else reporter.outcome({ result: {}, lines: [] });
    assert.deepEqual(texts, [
      line(10, 1),
      `err ${clear}`,
      ...(isError ? ["err error  DISK_FULL\n  Cannot store\n"] : []),
    ]);
  }
});

Deno.test("In a log progress is whole lines on stderr, now and then", () => {
  const { reporter, texts, progress } = written();
  progress(0, 1);
  progress(9_000, 2);
  progress(10_000, 3);
  reporter.event({ type: "note", message: "first" });
  progress(39_000, 4);
  progress(41_000, 5);
  reporter.outcome({ result: {}, lines: [] });
  assert.deepEqual(texts.map((text) => text.replace(/ {2}\S+ (min|s).*left/, "")), [
    "err reading  30 %  3 of 10 files\n",
    "err note  first\n",
    "err reading  50 %  5 of 10 files\n",
  ]);
});

Deno.test("With json progress is a line on stdout once a second, on a terminal too", () => {
  const { reporter, texts, progress } = written({ ...terminal, json: true });
  progress(0, 1);
  progress(500, 2);
  progress(1_000, 3);
  reporter.outcome({ result: { applied: [] }, lines: ["Done."] });
  assert.deepEqual(texts, [
    'out {"type":"progress","what":"reading","done":1,"total":10,"unit":"files"}\n',
    'out {"type":"progress","what":"reading","done":3,"total":10,"unit":"files"}\n',
    'out {"type":"result","applied":[]}\n',
  ]);
});

Deno.test("Without a clock no progress is shown, and secrets are masked in it as everywhere", () => {
  const silent = written({ now: undefined, ...terminal });
  silent.progress(0, 1);
  silent.reporter.outcome({ result: {}, lines: [] });
  assert.deepEqual(silent.texts, []);
  for (const more of [{ columns: () => 80 }, { json: true }]) {
    const { texts, progress } = written({ ...more, secrets: ["s3cret"] });
    progress(0, 1, "asking s3cret");
    assert.match(texts.join(""), /asking \*\*\*/);
  }
});
