/** Runs amber with `--json`, keeps every line, and has all of them judged by the schemas. */
import assert from "node:assert/strict";
import { amber, type AmberOptions, type CommandResult, type JsonLine, jsonLines } from "../support/command.ts";
import { follow, judge, kindOf, readSchemas, type WrittenLine } from "../support/json_schema.ts";

/** What each test file answers for: all kinds of results of these commands, these lines on the way, these exit statuses. */
export const families = {
  migrations: {
    commands: [
      "migrate",
      "rehearse",
      "check",
      "showmigrations",
      "sqlmigrate",
      "schema",
      "makemigrations",
      "adopt",
      "wait",
    ],
    events: ["start", "plan", "begin", "applied", "unapplied", "rehearsed", "note", "waiting", "blocked", "notice"],
    exits: [0, 1, 2, 3, 4, 5, 130, 143],
  },
  snapshots: {
    commands: ["snapshot", "snapshots", "ls", "diff", "cat", "verify", "drill", "prune", "export"],
    events: ["snapshot begins", "remark", "progress", "entry", "difference", "drill begins"],
    exits: [0, 2, 6, 7],
  },
  restore: {
    commands: ["restore", "wipe"],
    events: ["restoring", "restore plan", "wipe plan", "safety", "decided"],
    exits: [0, 2],
  },
  programs: {
    commands: ["init", "status", "run", "dbshell", "completions"],
    events: [],
    exits: [0, 1, 2, 3, 5, 125, 126, 127],
  },
} as const;

interface Family {
  commands: readonly string[];
  events: readonly string[];
  exits: readonly number[];
}

export class JsonLines {
  readonly #written: WrittenLine[] = [];
  readonly #failed = new Set<string>();
  readonly #exits = new Set<number>();

  /**
   * Runs amber with `--json` before `--`. It must end with this status and say so in its last line; everything is on the
   * one stream that is for lines.
   */
  async ends(status: number, args: string[], options: AmberOptions): Promise<JsonLine[]> {
    const at = args.indexOf("--") < 0 ? args.length : args.indexOf("--");
    const result = await amber([...args.slice(0, at), "--json", ...args.slice(at)], options);
    const told = `amber ${args.join(" ")}\n${result.stdout}\n${result.stderr}`;
    assert.equal(result.code, status, told);
    const isRun = args[0] === "run"; // whose stdout is another command's
    assert.equal(isRun ? result.stdout : result.stderr, "", told);
    return this.keep(args[0]!, result, isRun ? result.stderr : result.stdout);
  }

  /** The lines of a run that was watched. */
  keep(command: string, { code }: CommandResult, text: string): JsonLine[] {
    const lines = jsonLines(text);
    const last = lines.at(-1)!;
    assert.ok(["result", "error"].includes(last.type), text);
    assert.equal(last.exit ?? 0, code, text);
    // Nothing follows them, but the error that status tells when it has told everything else.
    const ends = lines.filter(({ type }) => type === "result" || type === "error").map(({ type }) => type);
    assert.ok(ends.length === 1 || (command === "status" && ends.join() === "result,error"), text);
    if (last.type === "error") this.#failed.add(command);
    this.#exits.add(code);
    this.#written.push(...lines.map((line) => ({ command, line })));
    return lines;
  }

  /** Every line is one of its command's, every command has failed once, and nothing of the family was left out. */
  async areSound({ commands, events, exits }: Family): Promise<void> {
    const judgements = await judge(this.#written);
    assert.deepEqual(judgements.flatMap(({ complaint }) => complaint ?? []).join("\n"), "");
    const schemas = readSchemas();
    const wanted = commands.flatMap((command) =>
      schemas.get(command)!.oneOf!.filter(({ $ref }) => $ref === undefined).map(kindOf)
    );
    const seen = new Set(judgements.map(({ kind }) => kind));
    const missing = [...wanted, ...events.map((name) => kindOf(follow(schemas, "events", `#/$defs/${name}`)))];
    assert.deepEqual(missing.filter((kind) => !seen.has(kind)), [], "kinds of lines that no run has written");
    assert.deepEqual(commands.filter((command) => !this.#failed.has(command)), [], "commands that never failed");
    assert.deepEqual(exits.filter((exit) => !this.#exits.has(exit)), [], "exit statuses that no run has ended with");
  }
}
