/** What somebody sees who has just got amber: one screen, and a way on from every wrong turn. */
import assert from "node:assert/strict";
import { routes } from "../../lib/commands/app.ts";
import { otherWords } from "../../lib/commands/other_words.ts";
import { amber } from "../support/command.ts";
import { tempFolder } from "../support/temp_folder.ts";

Deno.test("amber, and amber --help, fit a screen, name every command and say how to begin", async () => {
  await using folder = await tempFolder();
  const [bare, help] = [await amber([], { cwd: folder.root }), await amber(["--help"], { cwd: folder.root })];
  assert.deepEqual([bare.code, bare.stdout, bare.stderr], [0, help.stdout, ""]);
  const lines = help.stdout.trimEnd().split("\n");
  assert.ok(lines.length >= 24 && lines.length <= 40, `${lines.length} lines`);
  assert.deepEqual(lines.filter((line) => line.length > 100), []);
  for (const name of Object.keys(routes)) assert.match(help.stdout, new RegExp(`^  ${name} +[A-Z]`, "m"));
  assert.match(help.stdout, /^ {2}amber init /m);
});

Deno.test("no other tool's word hides a command of amber, and each is answered with one", () => {
  for (const [word, answer] of Object.entries(otherWords)) {
    assert.ok(!(word in routes), word);
    for (const [, name] of answer.matchAll(/\bamber ([a-z]+)/g)) assert.ok(name! in routes, answer);
  }
});

const answers: [typed: string, answer: string][] = [
  ["inti", "amber init"],
  ["completion", "amber completions SHELL"],
  ["complete", "amber completions SHELL"],
  ["up", "amber migrate"],
  ["new", "amber makemigrations NAME"],
  ["rollback", "amber migrate --back 1"],
  ["backup", "amber snapshot"],
  ["forget", "amber prune"],
  ["startproject", "amber init"],
];

for (const [typed, answer] of answers) {
  Deno.test(`amber ${typed}: did you mean ${answer}`, async () => {
    await using folder = await tempFolder();
    const { code, stderr } = await amber([typed], { cwd: folder.root });
    assert.equal(code, 2);
    assert.ok(stderr.includes(`  hint  Did you mean: ${answer}\n`), stderr);
  });
}
