/** What a refused command must tell, to people and to programs, and that it left everything as it was. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { type ErrorCode, exitStatuses } from "../../lib/errors.ts";
import { amber, type AmberOptions, type CommandResult } from "../support/command.ts";

export interface Refusal {
  code: ErrorCode;
  message: string | RegExp; // a part of it
  where?: string | RegExp;
  /** A part of what to do next. Every error must have a hint; this says what it is about. */
  hint: string | RegExp;
  detail?: string | RegExp;
  /** Texts that may appear nowhere: passwords and their parts. */
  secrets?: readonly string[];
}

/**
 * Runs the command twice, with `--json` and without, and compares exit status, code, message, place and hint. Files below
 * `cwd` must be the same afterwards, byte by byte, unless `changes` says that the command may do something before it fails.
 *
 * @returns The run with `--json`.
 */
export async function refuses(
  args: string[],
  options: AmberOptions & { changes?: boolean },
  expected: Refusal,
): Promise<CommandResult> {
  const before = contentOf(String(options.cwd));
  const end = args.indexOf("--") < 0 ? args.length : args.indexOf("--");
  const machine = await amber([...args.slice(0, end), "--json", ...args.slice(end)], options);
  const told = `amber ${args.join(" ")}\n${machine.stdout}${machine.stderr}`;
  const error = machine.json.at(-1) as Record<string, string> & { exit: number } | undefined;
  assert.equal(error?.type, "error", told);
  assert.deepEqual([error.code, machine.code], [expected.code, exitStatuses[expected.code]], told);
  assert.equal(error.exit, machine.code, told);
  assert.equal(machine.stderr.trim(), "", `with --json nothing goes to stderr: ${machine.stderr}`);
  for (const field of ["message", "where", "hint", "detail"] as const) {
    if (expected[field] !== undefined) has(error[field], expected[field], `${field} of ${told}`);
  }
  assert.match(error.message!, /^\S.*[^.\s]$/s, `a message has no full stop: ${told}`);

  if (!options.changes) assert.deepEqual(contentOf(String(options.cwd)), before, `files changed: ${told}`);
  const human = await amber(args, options);
  const shown = `amber ${args.join(" ")}\n${human.stdout}\n---\n${human.stderr}`;
  assert.equal(human.code, machine.code, shown);
  assert.match(human.stderr, new RegExp(`^error  ${expected.code}$`, "m"), shown);
  assert.match(human.stderr, /^ {2}hint {2}\S/m, shown);
  if (!options.changes) {
    has(human.stderr, expected.message, shown);
    assert.deepEqual(contentOf(String(options.cwd)), before, `files changed: ${shown}`);
  }
  hides(machine, expected.secrets ?? []);
  hides(human, expected.secrets ?? []);
  return machine;
}

/** Asserts that no secret stands in what was printed. */
export function hides({ stdout, stderr }: CommandResult, secrets: readonly string[]): void {
  for (const secret of secrets) {
    for (const form of [secret, encodeURIComponent(secret), JSON.stringify(secret).slice(1, -1)]) {
      assert.ok(!`${stdout}${stderr}`.includes(form), `"${form}" is shown:\n${stdout}${stderr}`);
    }
  }
}

export function has(text: string | undefined, part: string | RegExp, context: string): void {
  const found = typeof part === "string" ? text?.includes(part) : part.test(text ?? "");
  assert.ok(found, `expected ${part} in "${text}"\n${context}`);
}

/** Every file and folder below a folder, with a hash of what is in it. */
export function contentOf(folder: string): Record<string, string> {
  const found: Record<string, string> = {};
  const walk = (path: string) => {
    for (const entry of Deno.readDirSync(path)) {
      const inside = `${path}/${entry.name}`;
      const name = inside.slice(folder.length + 1);
      if (entry.isSymlink) found[name] = `link to ${Deno.readLinkSync(inside)}`;
      else if (entry.isDirectory) {
        found[`${name}/`] = "";
        walk(inside);
      } else if (entry.isFile) {
        found[name] = createHash("sha256").update(Deno.readFileSync(inside)).digest("hex").slice(0, 16);
      } else found[name] = "special";
    }
  };
  walk(folder);
  return found;
}
