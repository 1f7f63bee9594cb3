/** The newcomer's path: the commands in README are taken from it and run, in order, and print what it shows. */
import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { command, projectFolder } from "../support/command.ts";
import { compiledAmber } from "../support/compiled.ts";
import { testWith } from "../support/skip.ts";
import { type TempFolder, tempFolder } from "../support/temp_folder.ts";

const readme = Deno.readTextFileSync(`${projectFolder}/README.md`);
const npx = "npx --yes deno@2.9.4";

/** Commands that do not run here, with the reason. */
const leftOut: Record<string, string> = {
  [`${npx} task test`]: "it is what runs this test",
  [`${npx} task compile`]: "tests/run.ts has made the binary that runs here",
  [`${npx} task compile --migrations ../my-app/migrations --output ../my-app/amber`]: "see carried_test.ts",
};
/** Commands that end otherwise than with 0 and show no error. */
const statuses: Record<string, number> = {
  "amber restore latest": 2, // it asks, and nobody can be asked here
};

interface Shown {
  command: string;
  /** What README shows below it; undefined: nothing. */
  output?: string;
}

/** The commands in a section's blocks: lines behind `$` with their output, or, in a block without any, all lines. */
function commandsOf(heading: string): Shown[] {
  const [, section] = readme.split(`\n${heading}\n`);
  assert.ok(section, heading);
  const blocks = [...section.split(/^#{2,3} /m)[0]!.matchAll(/^```\n([\s\S]*?)^```$/gm)].map(([, text]) => text!);
  assert.ok(blocks.length > 0, `no commands below "${heading}"`);
  return blocks.flatMap((text) => {
    const parts = text.startsWith("$ ") ? text.split(/^\$ /m).slice(1) : text.trimEnd().split("\n");
    return parts.map((part) => {
      const [line, ...output] = part.trimEnd().split("\n");
      return { command: line!.replace(/\s+#.*$/, ""), ...(output.length > 0 ? { output: output.join("\n") } : {}) };
    });
  });
}

/** What differs from run to run: times, ids, how long, and on how large a disk. */
function steady(text: string): string {
  return text.replace(/\d{4}-\d\d-\d\d \d\d:\d\d(:\d\d)?/g, "TIME")
    .replace(/\b[0-9a-f]{10}\b/g, "SNAPSHOT")
    .replace(/\d[\d.]* (ms|s)\b/g, "LONG")
    .replace(/\d[\d.]* ([kMGT]?B)\b/g, "SIZE")
    .replace(/ +/g, " ").trimEnd();
}

/** Runs them one after the other in this folder, as a person would in one shell. */
async function runAll(
  shown: readonly Shown[],
  folder: TempFolder,
  before: (index: number) => Promise<void> | void = () => {},
): Promise<void> {
  await using programs = await tempFolder({
    // npx would download Deno: the one that runs this test stands in for it, for this version alone.
    npx: `#!/bin/sh\n[ "$1 $2" = "--yes deno@2.9.4" ] || exit 99\nshift 2\nexec "${Deno.execPath()}" "$@"\n`,
  });
  await Deno.chmod(programs.path("npx"), 0o755);
  await Deno.symlink(compiledAmber(), programs.path("amber"));
  const env = { PATH: `${programs.root}:/usr/bin:/bin`, NO_COLOR: "1" };
  // README names a mounted disk and a server's folder; here both are one.
  const here = (text: string) =>
    text.replaceAll("/mnt/backups", folder.path("backups")).replaceAll("/srv/app", folder.root);
  let exports = "";
  for (const [i, { command: line, output }] of shown.entries()) {
    if (line in leftOut) continue;
    if (line.startsWith("export ")) exports += `${here(line)}\n`;
    await before(i);
    const script = `exec 2>&1\n${exports}${here(line)}`;
    const { code, stdout } = await command("/bin/sh", ["-c", script], { cwd: folder.root, env });
    assert.equal(code, statuses[line] ?? (/^error {2}/m.test(output ?? "") ? 1 : 0), `${line}\n${stdout}`);
    if (output !== undefined) assert.equal(steady(stdout), steady(here(output)), line);
  }
}

/** A copy of what a clone has. */
async function clone(): Promise<TempFolder> {
  const { code, stdout, stderr } = await command("git", ["-c", "safe.directory=*", "ls-files", "-z"], {
    cwd: projectFolder,
  });
  assert.equal(code, 0, stderr);
  const paths = stdout.split("\0").filter((path) => path !== "" && !path.startsWith("tests/"));
  const there = paths.filter((path) => Deno.statSync(`${projectFolder}/${path}`).isFile);
  return await tempFolder(
    Object.fromEntries(there.map((path) => [path, Deno.readFileSync(`${projectFolder}/${path}`)])),
  );
}

const typo = "insert into shares (note_id, account_id)\nselect id, acount_id\nfrom notes;\n";
const sharing = `-- migrate:up
create table shares (
  note_id integer,
  account_id integer
);

-- Everybody sees their own.
${typo}
-- migrate:down
drop table shares;
`;

testWith("binary", "README, try it: in a fresh clone, and then a migration that fails and is mended", async () => {
  await using folder = await clone();
  const [migrate, ...others] = commandsOf("## Try it");
  await runAll([migrate!], folder);
  await Deno.remove(folder.path("local.db")); // what follows shows the same from its beginning
  await runAll(others, folder);
  await folder.write({ "migrations/0005_sharing.sql": sharing });
  await runAll(commandsOf("### A migration that fails"), folder, async (i) => {
    // After the failure, and the look at it.
    if (i === 2) await folder.write({ "migrations/0005_sharing.sql": sharing.replace("acount_id", "account_id") });
  });
});

testWith("binary", "README, your own app: begun in an empty folder, lost, and put back", async () => {
  await using folder = await tempFolder();
  await runAll(commandsOf("### Your own app"), folder);
  const rows = ["data", "lost"].map((path) => {
    using database = new DatabaseSync(folder.path(`${path}/app.db`), { readOnly: true });
    return database.prepare("select name, state from amber_migrations").all();
  });
  assert.deepEqual(rows[0], rows[1]);
  assert.equal(rows[0]!.length, 1);
});

testWith("binary", "README, a snapshot, and back", async () => {
  await using folder = await tempFolder({ "data/uploads/cat.txt": "a cat" });
  const database = new DatabaseSync(folder.path("data/prod.db"));
  database.exec("pragma journal_mode = wal; create table notes (id integer); insert into notes values (1), (2)");
  database.close();
  await runAll(commandsOf("### A snapshot, and back"), folder);
});

Deno.test("README, compile: what is left out here is there", () => {
  const shown = ["## Try it", "## Compile one binary"].flatMap(commandsOf).map(({ command }) => command);
  assert.deepEqual(Object.keys(leftOut).filter((line) => !shown.includes(line)), []);
  const unknown = commandsOf("## Compile one binary").filter(({ command }) => !(command in leftOut));
  assert.deepEqual(unknown, [], "commands that are neither run nor left out for a reason");
});
