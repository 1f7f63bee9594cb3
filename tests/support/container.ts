/**
 * A container without Docker: the image that the Dockerfile makes, and what Docker does around a process in it. The
 * process is number 1, its root is read-only, it is user 10001, and it has no network, no HOME and no /tmp.
 */
import { compiledAmber } from "./compiled.ts";
import { command, type CommandOptions, projectFolder, type RunningCommand, spawnCommand } from "./command.ts";
import { removeFolder } from "./temp_folder.ts";
import { tempBase } from "./user.ts";

export interface Image extends AsyncDisposable {
  /** What is `/` in the container. `app/data` and `app/backups` are those that its user may write. */
  root: string;
  /** `user:group` of the Dockerfile. */
  user: string;
  env: Record<string, string>;
}

export interface ContainerOptions {
  env?: Record<string, string>;
  /** Kept to this much by a cgroup, where this machine lets us make one. */
  memory?: MemoryLimit;
  /** The network is the machine's. Default: there is none. */
  hasNetwork?: boolean;
  timeoutMs?: number;
}

/** Does what the Dockerfile's RUN does, into a folder in the place of /image, with the compiled amber of the tests. */
export async function buildImage(): Promise<Image> {
  const root = await Deno.makeTempDir({ dir: tempBase(), prefix: "amber-image-" });
  const text = Deno.readTextFileSync(`${projectFolder}/Dockerfile`);
  const lines = /^RUN (mkdir[^]*?[^\\])\n/m.exec(text)![1]!.replaceAll("/image", root)
    .replaceAll("dist/amber", compiledAmber());
  const made = await command("sh", ["-e", "-c", lines], { cwd: projectFolder });
  if (made.code !== 0) throw new Error(`The image was not made:\n${lines}\n${made.stderr}`);
  await Deno.chmod(root, 0o755);
  // What Docker makes in every container.
  for (const path of ["proc", "dev"]) await Deno.mkdir(`${root}/${path}`);
  for (const name of devices) await Deno.writeTextFile(`${root}/dev/${name}`, "");
  return {
    root,
    user: /^USER (\S+)$/m.exec(text)![1]!,
    env: Object.fromEntries([...text.matchAll(/^ENV (\w+)=(\S+)$/gm)].map(([, name, value]) => [name!, value!])),
    [Symbol.asyncDispose]: () => removeFolder(root),
  };
}

const devices = ["null", "zero", "urandom", "random"];

/** The words that start amber inside of the image's root as its user, without any more of a container. */
function inside({ root, user, env }: Image, args: readonly string[], more: Record<string, string> = {}): string[] {
  const [uid, gid] = user.split(":") as [string, string];
  const pairs = Object.entries({ ...env, ...more }).map(([name, value]) => `${name}=${value}`);
  return [
    ...["setpriv", "--clear-groups", "--no-new-privs", "/usr/bin/env", "-i", ...pairs],
    ...["/usr/bin/unshare", `--root=${root}`, "--wd=/app", `--setgid=${gid}`, `--setuid=${uid}`],
    ...["/usr/local/bin/amber", ...args],
  ];
}

/** Runs amber with the image as its root and the machine's own /proc, and with nothing else of a container. */
export function inImage(image: Image, args: readonly string[], env: Record<string, string> = {}) {
  const script = `mount --make-rprivate / && mount --rbind /proc ${image.root}/proc && exec "$@"`;
  return command("unshare", ["--mount", "sh", "-c", script, "sh", ...inside(image, args, env)], { cwd: "/" });
}

/** Starts amber as a container's only process. */
export function startContainer(image: Image, args: readonly string[], options: ContainerOptions = {}): RunningCommand {
  const { program, words, given } = container(image, args, options);
  return spawnCommand(program, words, given);
}

/** What startContainer() runs, for another program that runs it. */
export function container(
  image: Image,
  args: readonly string[],
  { env, memory, hasNetwork = false, timeoutMs }: ContainerOptions = {},
): { program: string; words: string[]; given: CommandOptions } {
  const { root } = image;
  const script = [
    "set -e",
    "mount --make-rprivate /",
    `mount --bind ${root} ${root}`,
    ...devices.map((name) => `mount --bind /dev/${name} ${root}/dev/${name}`),
    ...["data", "backups"].map((name) => `mount --bind ${root}/app/${name} ${root}/app/${name}`),
    `mount -t proc proc ${root}/proc`,
    `mount -o remount,bind,ro ${root}`,
    'exec "$@"',
  ].join("\n");
  const spaces = ["--mount", "--pid", "--ipc", "--uts", ...(hasNetwork ? [] : ["--net"]), "--fork", "--kill-child"];
  return {
    program: "sh",
    words: [
      ...["-c", `${memory?.enter ?? ""}exec unshare ${spaces.join(" ")} sh -c "$0" sh "$@"`, script],
      ...inside(image, args, env),
    ],
    given: { cwd: "/", timeoutMs },
  };
}

export interface MemoryLimit extends Disposable {
  /** A line of a shell after which the limit holds; empty where no cgroup can be made. */
  enter: string;
  /** How often the kernel had to kill somebody for it. */
  kills(): number;
}

/** A cgroup with this much memory, of version 2 or 1. */
export function limitMemory(bytes: number): MemoryLimit {
  const name = `amber-test-${crypto.randomUUID().slice(0, 8)}`;
  const ways = [
    { folder: `/sys/fs/cgroup/memory/${name}`, file: "memory.limit_in_bytes", events: "memory.oom_control" },
    { folder: `/sys/fs/cgroup/${name}`, file: "memory.max", events: "memory.events" },
  ];
  for (const { folder, file, events } of ways) {
    try {
      Deno.mkdirSync(folder);
    } catch {
      continue; // not this version, or not for us
    }
    try {
      Deno.writeTextFileSync(`${folder}/${file}`, String(bytes), { create: false });
    } catch {
      Deno.removeSync(folder); // a version 2 whose parent does not hand memory on
      continue;
    }
    return {
      enter: `echo $$ > ${folder}/cgroup.procs; `,
      kills: () => Number(/^oom_kill (\d+)$/m.exec(Deno.readTextFileSync(`${folder}/${events}`))?.[1] ?? 0),
      [Symbol.dispose]: () => Deno.removeSync(folder),
    };
  }
  return { enter: "", kills: () => 0, [Symbol.dispose]: () => {} };
}

/** Why there can be no container; `undefined` when there can. */
export function missingNamespaces(): string | undefined {
  const args = ["--mount", "--pid", "--net", "--ipc", "--uts", "--fork", "sh", "-c", "mount --make-rprivate /"];
  try {
    const { success, stderr } = new Deno.Command("unshare", { args, stdin: "null" }).outputSync();
    return success ? undefined : `no namespaces can be made: ${new TextDecoder().decode(stderr).trim()}`;
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    return "unshare is not installed";
  }
}
