/** The file for Prometheus: what a run says in it, and what it keeps of other runs. */
import assert from "node:assert/strict";
import { isForeign, metricsText, readMetrics, type RunFacts } from "../../lib/output/metrics.ts";

const ran = (given: Partial<RunFacts> = {}): RunFacts => ({
  command: "snapshot",
  ended: new Date("2026-11-24T12:00:00.500Z"),
  durationMs: 1500,
  exit: 0,
  bytes: { data: 1e9, stored: 4_100_000 },
  ...given,
});
const at = 1795521600.5;

/** `name command → value`, without the common beginning. */
const samples = (text: string) =>
  Object.fromEntries(
    readMetrics(text).map(({ name, command, value }) => [`${name.replace(/^amber_last_/, "")} ${command}`, value]),
  );

Deno.test("a first run: every family with its help and type, then the samples", () => {
  assert.equal(
    metricsText("", ran()),
    `# HELP amber_last_success_timestamp_seconds When the command last ended with exit status 0; 0: never.
# TYPE amber_last_success_timestamp_seconds gauge
amber_last_success_timestamp_seconds{command="snapshot"} ${at}
# HELP amber_last_run_timestamp_seconds When the command last ended, however it went.
# TYPE amber_last_run_timestamp_seconds gauge
amber_last_run_timestamp_seconds{command="snapshot"} ${at}
# HELP amber_last_run_exit_status Exit status of the last run.
# TYPE amber_last_run_exit_status gauge
amber_last_run_exit_status{command="snapshot"} 0
# HELP amber_last_run_duration_seconds How long the last run took.
# TYPE amber_last_run_duration_seconds gauge
amber_last_run_duration_seconds{command="snapshot"} 1.5
# HELP amber_last_run_data_bytes Size of all that the last snapshot covers.
# TYPE amber_last_run_data_bytes gauge
amber_last_run_data_bytes{command="snapshot"} 1000000000
# HELP amber_last_run_stored_bytes What the last run added to the repository.
# TYPE amber_last_run_stored_bytes gauge
amber_last_run_stored_bytes{command="snapshot"} 4100000
`,
  );
});

Deno.test("a run that failed keeps when it last went well, and nothing else of the run before", () => {
  const later = new Date("2026-11-24T13:00:00Z");
  assert.deepEqual(samples(metricsText(metricsText("", ran()), ran({ ended: later, exit: 5, bytes: {} }))), {
    "success_timestamp_seconds snapshot": String(at),
    "run_timestamp_seconds snapshot": "1795525200",
    "run_exit_status snapshot": "5",
    "run_duration_seconds snapshot": "1.5",
  });
});

Deno.test("what never went well says 0, so that an alarm on its age rings", () => {
  assert.equal(samples(metricsText("", ran({ exit: 6 })))["success_timestamp_seconds snapshot"], "0");
});

Deno.test("other commands keep their lines, those of a newer amber too", () => {
  const old = metricsText("", ran({ command: "drill", exit: 7, bytes: { restored: 12 } })) +
    'amber_last_run_moons{command="drill"} 3\namber_last_run_moons{command="snapshot"} 4\n';
  const found = samples(metricsText(old, ran()));
  assert.deepEqual(
    [found["run_exit_status drill"], found["run_restored_bytes drill"], found["run_moons drill"]],
    ["7", "12", "3"],
  );
  assert.equal(found["run_moons snapshot"], undefined);
  assert.equal(found["run_exit_status snapshot"], "0");
});

Deno.test("a family stands in one piece, whoever wrote last", () => {
  let text = "";
  for (const command of ["verify", "snapshot", "drill", "verify", "snapshot"]) {
    text = metricsText(text, ran({ command }));
  }
  const names = text.split("\n").filter((line) => line.startsWith("amber")).map((line) => line.split("{")[0]);
  assert.deepEqual(names.filter((name, index) => name !== names[index - 1]).length, new Set(names).size);
  assert.equal(new Set(text.trim().split("\n")).size, text.trim().split("\n").length);
});

Deno.test("lines that are cut off, doubled or nobody's are left out", () => {
  const text = [
    'amber_last_run_exit_status{command="drill"} 1',
    'amber_last_run_exit_status{command="drill"} 2',
    'amber_last_run_duration_seconds{command="drill"} 1e3',
    'amber_last_run_duration_seconds{command="ver',
    'amber_last_run_duration_seconds{command="prune"} NaN',
    'amber_last_run_duration_seconds{command="wipe"} 1..2',
    'amber_last_run_duration_seconds{command="a\\"b"} 1',
    "up 1",
    "\u0000\u0000",
  ].join("\r\n");
  assert.deepEqual(samples(text), { "run_exit_status drill": "2", "run_duration_seconds drill": "1e3" });
});

Deno.test("a file of something else is known as one", () => {
  const cases: [string, boolean][] = [
    ["", false],
    ["\n \n", false],
    ["# HELP amber_last_run_exit_status", false],
    [metricsText("", ran()).slice(20), false],
    ["# HELP up\nup 1\n", true],
    ["SQLite format 3\0", true],
    ["see amber_last_run_exit_status", true],
  ];
  for (const [text, expected] of cases) assert.equal(isForeign(text), expected, JSON.stringify(text));
});
