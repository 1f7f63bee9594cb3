import assert from "node:assert/strict";
import { type CommandResult, type RunningCommand, spawnAmber } from "../support/command.ts";
import { type Random, random, runSeed } from "../support/random.ts";
import { schemaFingerprint } from "../support/schema.ts";
import { isLong, testWith } from "../support/skip.ts";
import { tempFolder } from "../support/temp_folder.ts";
import { type Place, type Setup } from "../races/setups.ts";
import { hundred } from "./hundred.ts";

const patienceMs = 300_000;
const killsEachRun = 5; // of one database, before it may finish

/**
 * Registers: 100 migrations are killed at random moments and started again until they are done. Counted are the kills that
 * fell between the first and the last migration; the moments are spread over the length of a run that nobody disturbs.
 */
export function killTest(setup: Setup, wanted: { ci: number; long: number }): void {
  const kills = isLong ? wanted.long : wanted.ci;
  testWith(
    setup.needs,
    `killed ${kills} times at random moments, ${setup.name}: it finishes, each migration once`,
    async () => {
      const dice = random(runSeed());
      await using folder = await tempFolder(hundred(setup.dialect));
      const undisturbed = await measure(setup, folder.root);
      let counted = 0;
      for (let database = 1; counted < kills; database++) {
        assert.ok(
          database <= kills,
          `seed ${dice.seed}: only ${counted} kills fell between the first and the last migration`,
        );
        await using place = await setup.open();
        const moments = momentsOf(undisturbed, dice);
        let fell = 0;
        for (const moment of moments) if (await killAt(moment, place, folder.root)) fell++;
        counted += fell;
        const result = await migrate(place, folder.root).result;
        const story = `seed ${dice.seed}, database ${database}, killed at ${JSON.stringify(moments)}`;
        assert.equal(result.code, 0, `${story}\n${result.stdout.slice(-3000)}\n${result.stderr}`);
        assert.equal(await schemaFingerprint(place.address, { rows: "content" }), undisturbed.fingerprint, story);
        assert.deepEqual(await historyOf(place), undisturbed.history, story);
        await place.refuseLeftovers({ wasKilled: true });
      }
      assert.ok(counted >= kills);
    },
  );
}

export function migrate(place: Place, cwd: string, args: string[] = []): RunningCommand {
  return spawnAmber(["migrate", "--json", ...args], { cwd, env: place.env, timeoutMs: patienceMs });
}

interface Undisturbed {
  /** From the start of the process to the first migration, and from there to the end. */
  startMs: number;
  workMs: number;
  fingerprint: string;
  history: unknown[];
}

/** When to kill: so long after the process was started, or after it said that it begins its first migration. */
interface Moment {
  after: "start" | "begin";
  ms: number;
}

async function measure(setup: Setup, cwd: string): Promise<Undisturbed> {
  await using place = await setup.open();
  const started = performance.now();
  const running = migrate(place, cwd);
  await running.until('"type":"begin"');
  const startMs = performance.now() - started;
  refuseFailure(await running.result);
  const workMs = performance.now() - started - startMs;
  const fingerprint = await schemaFingerprint(place.address, { rows: "content" });
  const history = await historyOf(place);
  assert.equal(history.length, 100);
  await place.refuseLeftovers();
  return { startMs, workMs, fingerprint, history };
}

/** Points of the whole way at random, as the pieces between them: each run goes on where the one before was killed. */
function momentsOf({ startMs, workMs }: Undisturbed, dice: Random): Moment[] {
  const points = Array.from({ length: killsEachRun }, () => dice.next() * workMs).sort((a, b) => a - b);
  return points.map((point, i) => {
    const ms = Math.round(point - (points[i - 1] ?? 0));
    // One in four anywhere from the start of the process on: while it connects, locks, or looks at what the last one left.
    return dice.chance(0.25) ? { after: "start", ms: Math.round(dice.next() * startMs) + ms } : { after: "begin", ms };
  });
}

/** Kills a run; true when it was alive and between the first and the last migration. */
async function killAt({ after, ms }: Moment, place: Place, cwd: string): Promise<boolean> {
  await using running = migrate(place, cwd);
  if (after === "begin") await running.until('"type":"begin"').catch(() => {}); // nothing was left to do
  await new Promise((resolve) => setTimeout(resolve, ms));
  running.kill("SIGKILL");
  const result = await running.result;
  if (result.signal === null) {
    refuseFailure(result);
    return false;
  }
  const rows = await historyOf(place, (text) => place.peek(text)).catch(() => []); // no history yet
  return rows.length > 0 && rows.filter((row) => row.state === "applied").length < 100;
}

/** Who was applied, and how often that is so: what differs between two runs is left out. */
async function historyOf(place: Place, ask = place.sql): Promise<{ name: unknown; state: unknown }[]> {
  const rows = await ask(
    "select name, state, done, statements, begun, checkpoint from amber_migrations order by name",
  );
  return rows as { name: unknown; state: unknown }[];
}

export function refuseFailure({ code, stdout, stderr }: CommandResult): void {
  assert.equal(code, 0, `exit ${code}\n${stdout.slice(-3000)}\n${stderr}`);
}
