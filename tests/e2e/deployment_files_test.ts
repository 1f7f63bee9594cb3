/** The files to deploy with: they parse, they need no root, and their commands are commands of amber. */
import assert from "node:assert/strict";
import { run } from "@stricli/core";
import { buildApp, routes } from "../../lib/commands/app.ts";
import { dockerfile } from "../../lib/stories/init_files.ts";
import { command, projectFolder } from "../support/command.ts";
import { tempFolder } from "../support/temp_folder.ts";

const read = (path: string) => Deno.readTextFileSync(`${projectFolder}/${path}`);
const yaml = ["compose.yaml", "examples/kubernetes/app.yaml", "examples/kubernetes/snapshot.yaml"];
const plain = ["examples/cron", "examples/systemd/amber-snapshot.service", "examples/systemd/my-app.service"];

/** The real command line reads these words, and does nothing; gives what it says of them. */
async function mistakeIn(args: string[]): Promise<string | undefined> {
  for (const route of Object.values(routes)) Object.assign(route, { loader: () => Promise.resolve(() => {}) });
  let mistake: unknown;
  const stream = { write: () => {} };
  const app = buildApp({ version: "1", args, mistaken: (error) => mistake = error });
  await run(app, args, { process: { stdout: stream, stderr: stream } } as never);
  return mistake instanceof Error ? mistake.message : undefined;
}

async function parsed(paths: string[]): Promise<unknown[]> {
  const program = `${projectFolder}/tests/support/parse_files.ts`;
  const args = ["run", "-A", "--quiet", "--no-config", "--no-lock", program, ...paths];
  const { code, stdout, stderr } = await command(Deno.execPath(), args, { cwd: projectFolder });
  assert.equal(code, 0, stderr);
  return stdout.trim().split("\n").map((line) => JSON.parse(line));
}

/** Every list of words under `command`, at any depth. */
function commandsIn(value: unknown): string[][] {
  if (typeof value !== "object" || value === null) return [];
  return Object.entries(value).flatMap(([key, part]) =>
    key === "command" && Array.isArray(part) ? [part as string[]] : commandsIn(part)
  );
}

Deno.test("a flag or command that does not exist is noticed", async () => {
  assert.match(await mistakeIn(["snapshot", "--bogus"]) ?? "", /bogus/);
  assert.match(await mistakeIn(["snapshit"]) ?? "", /snapshit/);
});

Deno.test("compose and Kubernetes: the files parse, and every command of amber is one", async () => {
  const files = await parsed(yaml);
  const [[compose]] = files as [[{ services: Record<string, { command?: string[]; image?: string }> }]];
  const own = Object.values(compose.services).filter(({ image }) => image === "amber").map(({ command }) => command!);
  const lines = [...own, ...commandsIn(files.slice(1)).flatMap(([first, ...args]) => first === "amber" ? [args] : [])];
  assert.equal(lines.length, 5, JSON.stringify(lines));
  for (const args of lines) assert.equal(await mistakeIn(args), undefined, args.join(" "));
});

Deno.test("cron and systemd: every command of amber is one", async () => {
  for (const path of plain) {
    const lines = [...read(path).matchAll(/^[^#\n]*\bamber ([^>\n]+)/gm)].map(([, args]) => args!.trim().split(" "));
    assert.ok(lines.length > 0, path);
    for (const args of lines) assert.equal(await mistakeIn(args), undefined, `${path}: ${args.join(" ")}`);
  }
});

Deno.test("both Dockerfiles parse, end as a user who is not root, and run commands that exist", async () => {
  await using folder = await tempFolder({ Dockerfile: dockerfile });
  const files = await parsed(["Dockerfile", folder.path("Dockerfile")]) as [string, string][][];
  for (const instructions of files) {
    const last = (keyword: string) => instructions.findLast(([name]) => name === keyword)?.[1] ?? "";
    assert.match(last("USER"), /^[1-9]\d*:[1-9]\d*$/);
    const words = JSON.parse(last("CMD")) as string[];
    const args = words[0] === "amber" ? words.slice(1) : words; // amber's own image has it as ENTRYPOINT
    assert.equal(await mistakeIn(args), undefined, args.join(" "));
  }
});

Deno.test("whatever amber or a server is process 1 of has something that reaps orphans", async () => {
  const [[compose]] = await parsed(["compose.yaml"]) as [[{ services: Record<string, { init?: boolean }> }]];
  for (const [name, { init }] of Object.entries(compose.services)) assert.equal(init ?? name === "db", true, name);
  for (const text of [read("Dockerfile"), dockerfile]) assert.match(text, /^#.*docker run (\S+ )*--init/m);
});
