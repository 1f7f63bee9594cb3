import { formatDuration } from "../duration.ts";
import type { AmberError } from "../errors.ts";
import type { MigrateEvent, PlannedStep } from "../stories/migrate.ts";
import type { Event } from "./events.ts";
import { restorePlanLines } from "./restore_text.ts";
import { differenceText, entryText, timeText } from "./snapshot_text.ts";
import { printable } from "./table.ts";
import { wipePlanLines } from "./wipe_text.ts";

/** Paint for a terminal; without colour it leaves a text as it is. */
export interface Paint {
  (text: string, colour: "red" | "green" | "yellow" | "dim" | "bold"): string;
}

const codes = { red: 31, green: 32, yellow: 33, dim: 2, bold: 1 } as const;

export function paint(isColoured: boolean): Paint {
  return (text, colour) => (isColoured ? `\u001b[${codes[colour]}m${text}\u001b[0m` : text);
}

/** One event as a line, and whether it is a result (stdout) or news on the way (stderr). */
export function eventText(event: Event, colour: Paint): { text: string; stream: "stdout" | "stderr" } | undefined {
  switch (event.type) {
    case "start":
      return {
        text: colour(`amber: ${event.database}, migrations from ${event.migrations} (${event.files})`, "dim"),
        stream: "stderr",
      };
    case "plan":
    case "begin":
      return undefined; // a plan is shown where it was asked for; a step when it has ended
    case "progress":
      return undefined; // few of many are shown: see Progress
    case "applied":
    case "unapplied":
      return {
        text: `  ${colour(event.type === "applied" ? "applied  " : "undone   ", "green")} ${event.name}  ${
          colour(formatDuration(event.durationMs), "dim")
        }`,
        stream: "stdout",
      };
    case "rehearsed":
      return {
        text: [
          `  ${colour("passes   ", "green")} ${event.migration.name}  ${
            colour(formatDuration(event.migration.durationMs), "dim")
          }`,
          ...event.migration.locks.map(({ table, mode }) =>
            `              locks ${printable(table)}  ${lockText(mode)}`
          ),
        ].join("\n"),
        stream: "stdout",
      };
    case "note":
      return { text: `${colour("note", "yellow")}  ${shown(event.message)}`, stream: "stderr" };
    case "waiting":
      return {
        text: `${colour("wait", "yellow")}  ${event.message}${
          event.remainingSeconds === undefined ? "" : `; ${event.remainingSeconds} s left`
        }`,
        stream: "stderr",
      };
    case "blocked":
      return { text: `${colour("wait", "yellow")}  ${event.message}`, stream: "stderr" };
    case "notice":
      return { text: `${colour(event.severity.toLowerCase(), "yellow")}  ${event.message}`, stream: "stderr" };
    default:
      return snapshotEventText(event, colour);
  }
}

/** The same for what is about snapshots. */
function snapshotEventText(
  event: Exclude<Event, { type: MigrateEvent["type"] | "progress" | "rehearsed" }>,
  colour: Paint,
): { text: string; stream: "stdout" | "stderr" } | undefined {
  switch (event.type) {
    case "snapshot begins":
      return {
        text: colour(
          `amber: snapshot of ${event.data} into ${event.repository}, ${
            event.parent === undefined ? "the first one" : `after ${event.parent}`
          }`,
          "dim",
        ),
        stream: "stderr",
      };
    case "remark": {
      const { path, message } = event.remark;
      return {
        text: `${colour("note", "yellow")}  ${shown(path === "" ? message : `${path}: ${message}`)}`,
        stream: "stderr",
      };
    }
    case "restoring":
      return {
        text: colour(
          `amber: snapshot ${event.snapshot.id} of ${
            timeText(event.snapshot.time)
          } UTC (${event.snapshot.kind}) into ${event.target}`,
          "dim",
        ),
        stream: "stderr",
      };
    case "drill begins":
      return {
        text: colour(
          `amber: drill of snapshot ${event.snapshot} of ${timeText(event.time)} UTC: ${event.files} files`,
          "dim",
        ),
        stream: "stderr",
      };
    case "restore plan":
      return { text: restorePlanLines(event.plan).join("\n"), stream: "stdout" };
    case "wipe plan":
      return { text: wipePlanLines(event.plan).join("\n"), stream: "stdout" };
    case "safety":
      return {
        text: `${
          colour("safety", "green")
        }  snapshot ${event.id} of what was there; it is put back with: ${event.command}`,
        stream: "stderr",
      };
    case "decided":
      return {
        text: colour("amber: everything is staged and checked; it goes into place now", "dim"),
        stream: "stderr",
      };
    case "entry":
      return { text: entryText(event), stream: "stdout" };
    case "difference":
      return { text: differenceText(event), stream: "stdout" };
  }
}

/** An error for a tired person: what, where, the database's words, what to do. */
export function errorText(error: AmberError, colour: Paint): string {
  return [
    `${colour("error", "red")}  ${colour(error.code, "bold")}`,
    ...indent(error.message, ""),
    ...(error.where ? indent(error.where, "at    ") : []),
    ...(error.detail ? ["", ...indent(error.detail, ""), ""] : []),
    ...(error.hint ? indent(error.hint, "hint  ") : []),
  ].join("\n");
}

/** What a lock of Postgres keeps others from. */
function lockText(mode: string): string {
  if (mode === "AccessExclusiveLock") return "ACCESS EXCLUSIVE: nobody else reads or writes it";
  const words = mode.replace(/Lock$/, "").replace(/(?<=[a-z])(?=[A-Z])/g, " ").toUpperCase();
  const isWeak = words === "ROW SHARE" || words === "ROW EXCLUSIVE" || words === "SHARE UPDATE EXCLUSIVE";
  return `${words}: others read${isWeak ? " and write it" : " it, and do not write"}`;
}

/** The steps of a plan, one a line. */
export function planLines(steps: readonly PlannedStep[]): string[] {
  const width = Math.max(...steps.map((step) => step.name.length), 0);
  return steps.map((step) => {
    const facts = [
      ...(step.kind === "code" ? ["code"] : []),
      ...(step.atomic ? [] : ["statement by statement, outside a transaction"]),
      ...(step.done > 0 ? [`goes on after statement ${step.done}`] : []),
      ...(step.fromHistory ? ["with the SQL kept in the history"] : []),
      ...(step.risky ? ["risky: may change or remove data"] : []),
    ];
    return `  ${step.direction === "up" ? "apply" : "undo "}  ${step.name.padEnd(facts.length > 0 ? width : 0)}${
      facts.length > 0 ? `  ${facts.join("; ")}` : ""
    }`;
  });
}

/** Names come from elsewhere and may hold what moves a terminal's cursor; lines and tabs stay. */
function shown(text: string): string {
  return text.split(/([\n\t])/).map((part, i) => i % 2 === 0 ? printable(part) : part).join("");
}

function indent(text: string, label: string): string[] {
  return shown(text).split("\n").map((line, i) => `  ${i === 0 ? label : " ".repeat(label.length)}${line}`.trimEnd());
}
