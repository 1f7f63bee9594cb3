import { parseDuration } from "../duration.ts";
import { AmberError } from "../errors.ts";
import type { Outcome } from "../output/events.ts";
import { errorText, paint } from "../output/human.ts";
import { knownError, Reporter } from "../output/reporter.ts";
import { redactor } from "../secrets.ts";
import { run as runServer, type RunOptions } from "../stories/run.ts";
import { act, type AmberContext, type CommonFlags, type Setting } from "./context.ts";
import type { MetricsFlag, PlanFlags } from "./flags.ts";
import { migrateLatest } from "./migrate.ts";

export interface RunFlags extends CommonFlags, PlanFlags, MetricsFlag {
  /** First `restore latest --if-empty`. */
  restore?: boolean;
  /** A duration. */
  snapshotEvery?: string;
}

/** The status of what keeps CMD from being started, whatever it is: CMD's own statuses must not be taken for it. */
const neverStarted = 125;

/** Less would be one snapshot after the other. */
const leastMs = 1_000;

export async function run(this: AmberContext, flags: RunFlags, ...typed: string[]): Promise<void> {
  // stdout belongs to CMD: what reads it must find nothing of amber's there.
  const world = { ...this.world, stdout: this.world.stderr };
  const context = { ...this, world };
  // What is measured are the parts: how long a server runs is its own business.
  const { metrics, ...others } = flags;
  await act(context, others, async (setting) => {
    const command = readCommand(world.args, typed);
    const everyMs = flags.snapshotEvery === undefined ? undefined : readInterval(flags.snapshotEvery);
    const plan = Boolean(flags.plan || flags.dryRun);
    const part: Part = plan || metrics === undefined
      ? (_command, _setting, work) => work()
      : await partMeasurer(metrics);
    const snapshots = everyMs === undefined ? undefined : await snapshotsOf(setting, flags, { everyMs, part });
    try {
      if (flags.restore) {
        const { restoreIfEmpty } = await import("./restore.ts");
        setting.reporter.part("restore ended", await part("restore", setting, () => restoreIfEmpty(setting, plan)));
      }
      setting.reporter.part("migrate ended", await part("migrate", setting, () => migrateLatest(setting, plan)));
    } catch (error) {
      if (world.stop.aborted) throw world.stop.reason;
      throw notStarted(error);
    }
    if (plan) return planOutcome(command, everyMs);
    const { env, isTerminal, handOverSignals, stop } = world;
    const result = await runServer({ command, env, isTerminal, handOverSignals, stop, snapshots });
    return { result: { command, ...result }, lines: [], exit: result.exit };
  });
  this.exit = context.exit;
}

/** Does a part's work; with `--metrics` it is told there under the command that does the same. */
type Part = (command: string, setting: Setting, work: () => Promise<Outcome>) => Promise<Outcome>;

async function partMeasurer(file: string): Promise<Part> {
  const { measured } = await import("./measured.ts");
  return (command, { world: { now, stop }, reporter }, work) =>
    measured({
      file,
      command,
      now,
      stop,
      forgetsStopped: command === "snapshot", // it is stopped when the server ends, which is nobody's failure
      note: (message) => reporter.event({ type: "note", message }),
    }, work);
}

/** @throws {AmberError} USAGE: what stands before `--` would be read as amber's own. */
function readCommand(args: readonly string[], typed: string[]): [string, ...string[]] {
  const at = args.indexOf("--");
  const [program, ...rest] = at < 0 ? [] : args.slice(at + 1);
  if (program !== undefined && program !== "" && rest.length + 1 === typed.length) return [program, ...rest];
  throw new AmberError("USAGE", {
    message: typed.length === 0 || program === ""
      ? "Cannot run a server: there is no command"
      : `Cannot run "${typed[0]}": the command has to stand behind --`,
    hint: "amber run -- my-server --port 8000",
  });
}

function readInterval(text: string): number {
  const ms = parseDuration(text);
  if (ms >= leastMs) return ms;
  throw new AmberError("USAGE", {
    message: `Cannot take a snapshot every "${text}": that is less than a second`,
    hint: "--snapshot-every 1h",
  });
}

/** Everything that is wrong with what is configured for them shows now, and not in an hour. */
async function snapshotsOf(
  setting: Setting,
  flags: RunFlags,
  { everyMs, part }: { everyMs: number; part: Part },
): Promise<NonNullable<RunOptions["snapshots"]>> {
  const takeSnapshot = (await import("./snapshot.ts")).snapshotTaker(setting.config);
  const { config, world } = setting;
  // A reporter without a clock: no progress is drawn over what the server writes.
  const { stdout, stderr } = world;
  const reporter = new Reporter({ stdout, stderr }, {
    json: flags.json ?? world.json,
    colour: world.isColoured,
    redact: redactor([...config.secrets, ...world.secrets]),
  });
  return {
    everyMs,
    take: async (stop) => {
      try {
        const own = { config, reporter, world: { ...world, stop } };
        reporter.part("snapshot ended", await part("snapshot", own, () => takeSnapshot(own)));
      } catch (error) {
        const known = knownError(stop.aborted ? stop.reason : error);
        const { code, message, where, detail, hint } = known;
        const lines = [errorText(known, paint(world.isColoured))];
        reporter.part("snapshot failed", { result: { code, message, where, detail, hint }, lines });
      }
    },
  };
}

function notStarted(error: unknown): AmberError {
  const { code, message, where, detail, hint } = knownError(error);
  return new AmberError(code, { message, where, detail, hint, exit: neverStarted, cause: error });
}

function planOutcome(command: readonly string[], everyMs: number | undefined): Outcome {
  const seconds = everyMs === undefined ? undefined : everyMs / 1000;
  return {
    result: { planned: { command, ...(everyMs === undefined ? {} : { snapshotEverySeconds: seconds }) } },
    lines: [
      `Then it would start: ${command.join(" ")}`,
      ...(seconds === undefined ? [] : [`and take a snapshot every ${seconds} s while that runs.`]),
    ],
  };
}
