import { AmberError } from "../errors.ts";
import type { Outcome } from "../output/events.ts";
import { errorText, paint } from "../output/human.ts";
import { redactor } from "../secrets.ts";
import { type Ping, ping } from "../stories/ping.ts";
import type { Setting } from "./context.ts";

/** A command's end, and whether somebody should look at it although it is done. */
export interface PingedOutcome {
  outcome: Outcome;
  /** What the health check is told in that case. */
  complaint?: string;
}

/** A health check that is silent must not hold up a snapshot for long. */
const startMs = 5_000;
/** Shorter than the time that a signal leaves. */
const endMs = 5_000;

/**
 * Tells the configured health check when the work begins and how it ended. `fail` is also told for what is done but not as
 * it should be (exit 6; pruning failed): a check that stays green is one that nobody looks at, and the file that could
 * never be read would be missed on the bad day. A ping that does not arrive is a note, and changes nothing else.
 */
export async function pinged(setting: Setting, work: () => Promise<PingedOutcome>): Promise<Outcome> {
  const url = setting.config.pingUrl?.value;
  if (url === undefined) return (await work()).outcome;
  const { world, config, reporter } = setting;
  const redact = redactor([...config.secrets, ...world.secrets]);
  const tell = async (what: Ping, text: string, timeoutMs: number) => {
    // After a signal the run's own one is aborted already, and the news is as good as any other.
    const stop = what === "start" ? world.stop : new AbortController().signal;
    const problem = await ping(url, what, { text: redact(text), stop, timeoutMs });
    if (problem === undefined) return;
    reporter.event({ type: "note", message: `the health check (AMBER_PING_URL) was not told "${what}": ${problem}` });
  };
  await tell("start", "", startMs);
  let end: PingedOutcome;
  try {
    end = await work();
  } catch (error) {
    const shown = world.stop.aborted ? world.stop.reason : error;
    await tell("fail", shown instanceof AmberError ? errorText(shown, paint(false)) : String(shown), endMs);
    throw error;
  }
  const { outcome, complaint } = end;
  const text = [...(complaint === undefined ? [] : [complaint]), ...outcome.lines].join("\n");
  await tell(complaint === undefined ? "success" : "fail", text, endMs);
  return outcome;
}
