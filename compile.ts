/**
 * Makes amber's one file:
 *
 *     deno task compile [--migrations FOLDER] [--output FILE] [--target TARGET]
 *     deno task compile:all
 *
 * With --migrations the binary carries what is in that folder, and uses another one only when AMBER_MIGRATIONS or
 * --migrations names it. Without, it carries none. TARGET is another system, as `deno compile` calls it.
 *
 * @module
 */
import { parseArgs } from "node:util";
import { AmberError } from "./lib/errors.ts";
import { filesDigest } from "./lib/migrations/digest.ts";
import { readFolder } from "./lib/migrations/folder.ts";
import type { CarriedIndex } from "./lib/migrations/carried.ts";

const project = import.meta.dirname!;
const carried = `${project}/carried`;
const systems = {
  "x86_64-unknown-linux-gnu": "amber-linux-x64",
  "aarch64-unknown-linux-gnu": "amber-linux-arm64",
  "aarch64-apple-darwin": "amber-macos-arm64",
  "x86_64-pc-windows-msvc": "amber-windows-x64.exe",
};
/** What is loaded by its address, which `deno compile` does not follow. */
export const included = [
  "lib/commands/migrate_worker.ts",
  "lib/engines/sqlite/check_worker.ts",
  "lib/engines/sqlite/copy_worker.ts",
  "lib/engines/sqlite/pin_worker.ts",
  "lib/engines/sqlite/put_worker.ts",
  "lib/repository/block_worker.ts",
  "mod.ts",
];

/** Puts the migrations where the binary finds them, with what the usual start wants to know of them. */
async function carry(folder: string): Promise<void> {
  const index: CarriedIndex = {};
  let failure: unknown;
  for (const dialect of ["sqlite", "postgres"] as const) {
    try {
      const { files } = readFolder(folder, dialect);
      index[dialect] = { files: files.length, digest: await filesDigest(files) };
    } catch (error) {
      // A folder may be for one engine alone; then the other one is told so when it is used.
      if (!(error instanceof AmberError) || error.code !== "MIGRATION_VARIANT_MISSING") throw error;
      failure = error;
    }
  }
  if (Object.keys(index).length === 0) throw failure;
  Deno.mkdirSync(`${carried}/migrations`, { recursive: true });
  for (const { name, isDirectory } of Deno.readDirSync(folder)) {
    if (!isDirectory) Deno.copyFileSync(`${folder}/${name}`, `${carried}/migrations/${name}`);
  }
  Deno.writeTextFileSync(`${carried}/index.json`, JSON.stringify(index));
}

/** @throws {Error} with what is to be read. */
async function compile(
  output: string,
  { target, migrations }: { target?: string; migrations?: string },
): Promise<void> {
  Deno.mkdirSync(`${project}/dist`, { recursive: true });
  await removeFolder(carried); // a killed run may have left it
  try {
    if (migrations !== undefined) await carry(migrations);
    const args = [
      ...["compile", "--quiet", "-A", "--exclude-unused-npm"],
      ...(target === undefined ? [] : ["--target", target]),
      ...[...included, ...(migrations === undefined ? [] : ["carried"])].flatMap((path) => ["--include", path]),
      ...["--output", output, "cli.ts"],
    ];
    const { success, stderr } = await new Deno.Command(Deno.execPath(), {
      args,
      cwd: project,
      env: { NO_COLOR: "1" },
      stderr: "piped",
    })
      .output();
    if (success) return;
    const text = new TextDecoder().decode(stderr);
    const isAboutRuntime = /denort|dl\.deno\.land/.test(text);
    throw new Error(
      isAboutRuntime
        ? `${text}\nThe runtime that goes into the binary cannot be downloaded. Where there is a copy of it, of this very ` +
          `version of Deno and for that system, name it: DENORT_BIN=/path/to/denort deno task compile`
        : text,
    );
  } finally {
    await removeFolder(carried);
  }
}

async function removeFolder(path: string): Promise<void> {
  await Deno.remove(path, { recursive: true }).catch((error) => {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  });
}

/** Gives the exit status. */
async function main(): Promise<number> {
  try {
    const { values: { all, migrations, output, target } } = parseArgs({
      args: Deno.args,
      options: {
        all: { type: "boolean" },
        migrations: { type: "string" },
        output: { type: "string", default: `${project}/dist/amber` },
        target: { type: "string" },
      },
    });
    if (!all) await compile(output, { target, migrations });
    for (const [target, name] of all ? Object.entries(systems) : []) {
      await compile(`${project}/dist/${name}`, { target, migrations });
      console.log(`dist/${name}`);
    }
    return 0;
  } catch (error) {
    console.error(error instanceof Error ? `error: ${error.message.replace(/^error: /, "")}` : error);
    if (error instanceof AmberError && error.hint) console.error(`hint: ${error.hint}`);
    return 1;
  }
}

if (import.meta.main) Deno.exit(await main());
