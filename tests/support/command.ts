/** Runs amber, and other programs, the way a user does: in a process of its own, with an environment of its own. */
import { basename, join } from "node:path";
import { drivenBinary, projectFolder, sourceArgs } from "./driven.ts";
import { chownAll, removeFolder } from "./temp_folder.ts";
import { tempBase, unprivilegedUser, type User } from "./user.ts";

export { projectFolder };

/** One line of `--json` output. */
export type JsonLine = { type: string; [field: string]: unknown };

export interface CommandResult {
  code: number; // 128 + the signal's number when it was killed
  signal: string | null; // "SIGKILL", …
  stdout: string;
  stderr: string;
  /** stdout's lines as objects, when `--json` is among the arguments and stdout is no other command's (`--`); otherwise empty. */
  json: JsonLine[];
}

export interface CommandOptions {
  cwd: string | URL;
  /** What the program finds in its environment besides PATH, HOME and what Deno needs to find its packages. */
  env?: Record<string, string>;
  stdin?: string; // default: none, as in cron
  /** After this the program is killed and the test fails. Default 60 s. */
  timeoutMs?: number;
  /** Run as this user: see otherUser(). */
  as?: OtherUser;
}

export interface AmberOptions extends CommandOptions {
  /** A compiled amber to run instead of the source. Default: see drivenBinary(). */
  binary?: string;
}

/** A program that runs. At the end of the scope it is killed if it still does. */
export interface RunningCommand extends AsyncDisposable {
  pid: number;
  kill(signal?: Deno.Signal): void; // default SIGKILL; nothing happens when it has ended
  /** What it has written so far. */
  readonly stdout: string;
  readonly stderr: string;
  /** Waits until stdout or stderr has this text. @throws {Error} when it ends before that, or the time is up. */
  until(text: string | RegExp, timeoutMs?: number): Promise<void>;
  result: Promise<CommandResult>;
}

/** Runs amber to its end. Every exit status is a result; only running out of time throws. */
export async function amber(args: string[], options: AmberOptions): Promise<CommandResult> {
  await using running = spawnAmber(args, options);
  return await running.result;
}

/** Starts amber, to be watched or killed. */
export function spawnAmber(args: string[], options: AmberOptions): RunningCommand {
  const { as, binary = as?.binary ?? drivenBinary(), ...rest } = options;
  if (binary) return spawnCommand(binary, args, { ...rest, as });
  const folder = as?.project ?? projectFolder;
  const deno = as?.deno ?? Deno.execPath();
  return spawnCommand(deno, [...sourceArgs(folder), ...args], { ...rest, as });
}

/** Runs any program to its end, with the same short environment. */
export async function command(program: string, args: string[], options: CommandOptions): Promise<CommandResult> {
  await using running = spawnCommand(program, args, options);
  return await running.result;
}

export function spawnCommand(program: string, args: string[], options: CommandOptions): RunningCommand {
  const { cwd, env = {}, stdin, timeoutMs = 60_000, as } = options;
  const child = new Deno.Command(program, {
    args,
    cwd,
    clearEnv: true,
    env: { ...plainEnvironment(), ...as?.env, ...env },
    stdin: stdin === undefined ? "null" : "piped",
    stdout: "piped",
    stderr: "piped",
    ...(as?.user ? { uid: as.user.uid, gid: as.user.gid } : {}),
  }).spawn();

  const output = { stdout: "", stderr: "" };
  let isEnded = false;
  let wake = Promise.withResolvers<void>();
  const read = async (name: "stdout" | "stderr") => {
    for await (const text of child[name].pipeThrough(new TextDecoderStream())) {
      output[name] += text;
      wake.resolve();
      wake = Promise.withResolvers();
    }
  };
  const kill = (signal: Deno.Signal = "SIGKILL") => {
    if (!isEnded) child.kill(signal);
  };
  const line = `${basename(program)} ${args.join(" ")}`;
  const said = () => `\n--- stdout\n${output.stdout}\n--- stderr\n${output.stderr}`;

  const isJson = args.includes("--json") && !args.includes("--");
  let isLate = false;
  const timer = setTimeout(() => {
    isLate = true;
    kill();
  }, timeoutMs);
  const status = child.status.then((status) => {
    isEnded = true;
    clearTimeout(timer);
    return status;
  });
  const finish = async (): Promise<CommandResult> => {
    if (stdin !== undefined) await feed(child.stdin, stdin);
    const [{ code, signal }] = await Promise.all([status, read("stdout"), read("stderr")]);
    wake.resolve();
    if (isLate) throw new Error(`"${line}" took longer than ${timeoutMs} ms${said()}`);
    return { code, signal, ...output, json: isJson ? jsonLines(output.stdout) : [] };
  };
  const result = finish();
  // Whoever only watches and kills need not await the result.
  result.catch(() => {});

  return {
    pid: child.pid,
    kill,
    get stdout() {
      return output.stdout;
    },
    get stderr() {
      return output.stderr;
    },
    async until(text, limitMs = timeoutMs) {
      const deadline = Date.now() + limitMs;
      const has = (where: string) => typeof text === "string" ? where.includes(text) : text.test(where);
      while (!has(output.stdout) && !has(output.stderr)) {
        if (isEnded) await result.catch(() => {});
        if (has(output.stdout) || has(output.stderr)) return;
        const leftMs = deadline - Date.now();
        if (isEnded || leftMs <= 0) throw new Error(`"${line}" never said ${text}${said()}`);
        let alarm: ReturnType<typeof setTimeout> | undefined;
        const late = new Promise<void>((resolve) => alarm = setTimeout(resolve, leftMs));
        await Promise.race([wake.promise, status, late]);
        clearTimeout(alarm);
      }
    },
    result,
    async [Symbol.asyncDispose]() {
      kill();
      await result.catch(() => {});
    },
  };
}

/** Lines of `--json` output as objects. @throws {Error} that names the line which is not one. */
export function jsonLines(text: string): JsonLine[] {
  return text.split("\n").filter((line) => line !== "").map((line) => {
    try {
      return JSON.parse(line);
    } catch {
      throw new Error(`Not a line of JSON: ${line}`);
    }
  });
}

/**
 * Somebody who is not root, with an amber of their own to run: root's home, and with it Deno and its cache, may be
 * closed to them. Where the tests do not run as root, that is simply who runs them.
 */
export interface OtherUser extends AsyncDisposable {
  user: User | undefined; // undefined: the one who runs the tests
  env: Record<string, string>;
  project?: string;
  deno?: string;
  binary?: string;
}

export async function otherUser(name?: string): Promise<OtherUser> {
  const user = unprivilegedUser(name === undefined ? undefined : [name]);
  if (user === undefined) return { user, env: {}, [Symbol.asyncDispose]: () => Promise.resolve() };
  const home = await Deno.makeTempDir({ dir: tempBase(), prefix: "amber-user-" });
  const [project, cache, deno] = [join(home, "project"), join(home, "deno"), join(home, "bin-deno")];
  const env = { HOME: home, DENO_DIR: cache, TMPDIR: home };
  const dispose = () => removeFolder(home);

  const given = drivenBinary();
  const binary = given ? join(home, "amber") : undefined;
  if (given && binary) await Deno.copyFile(given, binary);
  else {
    await Deno.copyFile(Deno.execPath(), deno);
    await Deno.mkdir(project);
    for (const entry of ["cli.ts", "mod.ts", "deno.json", "deno.lock", "lib"]) {
      await copyAll(join(projectFolder, entry), join(project, entry));
    }
    await copyPackages(cache);
  }
  chownAll(home, user);
  // What runs is nobody's to change, as after an installation.
  await Deno.chmod(home, 0o755);
  return { user, env, project, deno, binary, [Symbol.asyncDispose]: dispose };
}

/** Copies from Deno's cache only the packages that amber itself uses: it may also hold a PostgreSQL. */
async function copyPackages(cache: string): Promise<void> {
  const lock = JSON.parse(await Deno.readTextFile(join(projectFolder, "deno.lock")));
  const names = Object.keys(lock.npm ?? {}).map((key) => key.slice(0, key.indexOf("@", 1)));
  for (const registry of await entriesOf(join(denoFolder(), "npm"))) {
    for (const name of new Set(names)) {
      await copyAll(join(denoFolder(), "npm", registry, name), join(cache, "npm", registry, name));
    }
  }
}

/** Copies a file or a folder; nothing when it does not exist. */
async function copyAll(source: string, target: string): Promise<void> {
  let facts: Deno.FileInfo;
  try {
    facts = await Deno.stat(source);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return;
    throw error;
  }
  if (facts.isFile) return await Deno.copyFile(source, target);
  await Deno.mkdir(target, { recursive: true });
  for (const name of await entriesOf(source)) await copyAll(join(source, name), join(target, name));
}

async function entriesOf(folder: string): Promise<string[]> {
  return (await Array.fromAsync(Deno.readDir(folder))).map((entry) => entry.name);
}

/** Where Deno keeps its packages. The child cannot find it by itself when HOME is another. */
function denoFolder(): string {
  const given = Deno.env.get("DENO_DIR");
  if (given) return given;
  const home = Deno.env.get("HOME") ?? "/";
  const cache = Deno.build.os === "darwin" ? join(home, "Library", "Caches") : join(home, ".cache");
  return join(Deno.env.get("XDG_CACHE_HOME") ?? cache, "deno");
}

// How this machine reaches its package registry, in case a package is not in the cache yet.
const network =
  /^(npm_config_registry|deno_cert|deno_tls_ca_store|ssl_cert_(file|dir)|node_extra_ca_certs|https?_proxy|no_proxy)$/i;

/** What every program needs, and nothing that changes what amber does: no DATABASE_URL, no PG*, no CI. */
function plainEnvironment(): Record<string, string> {
  const all = Object.entries(Deno.env.toObject());
  const kept = all.filter(([name]) => name === "PATH" || name === "HOME" || name === "TMPDIR" || network.test(name));
  return { ...Object.fromEntries(kept), DENO_DIR: denoFolder() };
}

async function feed(stdin: WritableStream<Uint8Array>, text: string): Promise<void> {
  try {
    await new Blob([text]).stream().pipeTo(stdin);
  } catch (error) {
    // It ended without reading all of it.
    if (!(error instanceof Deno.errors.BrokenPipe)) throw error;
  }
}
