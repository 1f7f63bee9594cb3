/** The compiled amber that end-to-end tests drive. */
import { join } from "node:path";
import { projectFolder } from "./command.ts";

const binary = join(projectFolder, "dist", "amber");

/** For tests/run.ts: makes dist/amber when it is missing or older than the source. Returns why it cannot. */
export async function refreshBinary(): Promise<string | undefined> {
  if (Deno.env.get("AMBER_TEST_BINARY")) return undefined;
  const sources = ["deno.json", "compile.ts", "cli.ts", "mod.ts", "lib"].map((name) => join(projectFolder, name));
  if (changedMs(binary) > Math.max(...sources.map(changedMs))) return undefined;
  // The old one is in its place until the new one takes it: another run of the tests may be driving it.
  const made = `${binary}-${Deno.pid}`;
  const { success, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["task", "--quiet", "compile", "--output", made],
    cwd: projectFolder,
    env: { NO_COLOR: "1" },
    stdin: "null",
    signal: AbortSignal.timeout(180_000),
  }).output();
  if (success) {
    Deno.renameSync(made, binary);
    return undefined;
  }
  const lines = new TextDecoder().decode(stderr).split("\n");
  return `\`deno task compile\` failed: ${lines.find((line) => line.startsWith("error")) ?? lines[0]}`;
}

/** Why there is no compiled amber; `undefined` when there is one. */
export function missingBinary(): string | undefined {
  const failure = Deno.env.get("AMBER_TEST_NO_BINARY");
  if (failure) return failure;
  return changedMs(compiledAmber()) > 0 ? undefined : "there is no dist/amber: run `deno task compile`";
}

/** The path of the compiled amber: AMBER_TEST_BINARY, else what `deno task compile` makes. */
export function compiledAmber(): string {
  return Deno.env.get("AMBER_TEST_BINARY") || binary;
}

/** When the newest file in it was changed; 0 when there is nothing. */
function changedMs(path: string): number {
  try {
    const facts = Deno.statSync(path);
    const own = facts.mtime?.getTime() ?? 1;
    if (!facts.isDirectory) return own;
    return Math.max(own, ...[...Deno.readDirSync(path)].map((entry) => changedMs(join(path, entry.name))));
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return 0;
    throw error;
  }
}
