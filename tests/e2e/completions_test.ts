/** `amber completions`: the scripts, as the shells understand them. */
import assert from "node:assert/strict";
import { routes } from "../../lib/commands/app.ts";
import { completionScript } from "../../lib/commands/completion_scripts.ts";
import { completionTable } from "../../lib/commands/completion_table.ts";
import { amber, command } from "../support/command.ts";
import { findProgram } from "../support/programs.ts";
import { tempFolder } from "../support/temp_folder.ts";

const table = completionTable(routes);
const scripts = {
  bash: completionScript("bash", table),
  zsh: completionScript("zsh", table),
  fish: completionScript("fish", table),
};

/** What bash offers at the end of this line; words are split as bash splits them, `=` for itself. */
async function bash(line: string, cwd: string): Promise<string[]> {
  const words = line.split(/ |(?<==)|(?==)/).map((word) => `'${word}'`).join(" ");
  const asked = `source ./amber.bash
COMP_WORDS=(${words}); COMP_CWORD=$((\${#COMP_WORDS[@]} - 1)); COMP_LINE='${line}'; COMP_POINT=\${#COMP_LINE}
$(complete -p amber | sed 's/.*-F \\([^ ]*\\).*/\\1/')
printf '%s\\n' "\${COMPREPLY[@]}"`;
  const { code, stdout, stderr } = await command("bash", ["--norc", "--noprofile", "-c", asked], { cwd });
  assert.deepEqual([code, stderr], [0, ""]);
  return stdout.split("\n").filter((word) => word !== "").sort();
}

const offered: [line: string, words: string[]][] = [
  ["amber mig", ["migrate"]],
  ["amber snap", ["snapshot", "snapshots"]],
  ["amber --v", ["--version"]],
  ["amber migrate --fake", ["--fake", "--fake-initial"]],
  ["amber migrate --dry", ["--dry-run"]],
  ["amber migrate --snapshot ", ["always", "never", "risky"]],
  ["amber migrate --plan --snapshot r", ["risky"]],
  ["amber migrate --snapshot=", ["always", "never", "risky"]],
  ["amber migrate --snapshot=n", ["never"]],
  ["amber restore l", ["latest"]],
  ["amber restore latest --if", ["--if-empty"]],
  ["amber wait --until ", ["answers", "current"]],
  ["amber adopt ", ["dbmate"]],
  ["amber completions ", ["bash", "fish", "zsh"]],
  ["amber check -d ", ["two words", "uploads"]],
  ["amber check --migrations=u", ["uploads"]],
  ["amber check --env-file u", ["uploads"]],
  ["amber check --env-file t", ["two words"]],
  ["amber check --env-file n", ["notes.env"]],
  ["amber check --url ", []],
  ["amber check ", []],
  ["amber nothing --", []],
  ["amber dbshell -- true", ["true"]],
];

Deno.test("bash completes commands, flags and known values", async (t) => {
  await using folder = await tempFolder({
    "amber.bash": scripts.bash,
    "uploads/a.txt": "",
    "two words/a.txt": "",
    "notes.env": "",
  });
  for (const [line, words] of offered) {
    await t.step(line, async () => {
      const found = await bash(line, folder.root);
      if (line === "amber dbshell -- true") assert.ok(found.includes("true"), `${found}`);
      else assert.deepEqual(found, words);
    });
  }
});

Deno.test("every command, flag and brief of the help is in all three scripts", () => {
  assert.deepEqual(table.map(({ name }) => name), Object.keys(routes));
  for (const { name, flags } of table) {
    assert.ok(flags.length > 0, name);
    const part = { bash: `    ${name})`, zsh: `    ${name})` };
    for (const shell of ["bash", "zsh"] as const) {
      const from = scripts[shell].indexOf(part[shell]);
      const text = scripts[shell].slice(from, scripts[shell].indexOf("\n      ;;", from));
      for (const flag of flags) assert.ok(text.includes(flag.names[0]!), `${shell} ${name} ${flag.names[0]}`);
    }
    for (const flag of flags) {
      const begin = `complete -c amber -n '__fish_seen_subcommand_from ${name}' -l ${flag.names[0]!.slice(2)} `;
      assert.ok(scripts.fish.includes(begin), begin);
    }
  }
});

// The zsh script keeps to what bash can read as well, so that its quotes and blocks are judged where there is no zsh.
for (const shell of ["bash", "zsh"] as const) {
  Deno.test(`the script for ${shell} is whole: bash -n`, async () => {
    await using folder = await tempFolder({ script: scripts[shell] });
    const { code, stderr } = await command("bash", ["-n", "script"], { cwd: folder.root });
    assert.deepEqual([code, stderr], [0, ""]);
  });
}

Deno.test("every line of the script for fish is a comment, or one call of complete with closed quotes", () => {
  const word = /(?:[\w./-]+|'(?:[^'\\]|\\['\\])*')/.source;
  const call = new RegExp(`^complete -c amber(?: ${word})+$`);
  for (const line of scripts.fish.trimEnd().split("\n")) assert.match(line, /^#/.test(line) ? /^#/ : call);
});

for (const shell of ["zsh", "fish"] as const) {
  const isThere = findProgram(shell) !== undefined;
  const name = `${shell} reads its script${isThere ? "" : ` (skipped: ${shell} is not installed)`}`;
  Deno.test({ name, ignore: !isThere }, async () => {
    await using folder = await tempFolder({ script: scripts[shell] });
    const { code, stderr } = await command(shell, ["-n", "script"], { cwd: folder.root });
    assert.deepEqual([code, stderr], [0, ""]);
    if (shell === "zsh") return;
    const asked = "source ./script; complete -C 'amber migrate --snapshot n'";
    const { stdout } = await command("fish", ["--no-config", "-c", asked], { cwd: folder.root });
    assert.match(stdout, /^never\t/);
  });
}

Deno.test("completions prints the script whatever the configuration is; another shell is refused", async () => {
  await using folder = await tempFolder({ ".env": "this is no setting" });
  const at = { cwd: folder.root, env: { DATABASE_URL: "" } };
  const { code, stdout, stderr } = await amber(["completions", "bash"], at);
  assert.deepEqual([code, stdout, stderr], [0, scripts.bash, ""]);
  const refused = await amber(["completions", "tcsh"], at);
  assert.deepEqual([refused.code, refused.stdout], [2, ""]);
  assert.match(refused.stderr, /SHELL: "tcsh" is none of bash, zsh, fish\n {2}hint {2}amber completions --help/);
});
