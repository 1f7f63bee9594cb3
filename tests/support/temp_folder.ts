import { dirname, join } from "node:path";
import { tempBase, type User } from "./user.ts";

/** What `write` puts into a folder: a path ending in "/" is a folder, everything else a file. */
export type Files = Record<string, string | Uint8Array>;

export interface TempFolder extends AsyncDisposable {
  readonly root: string; // absolute
  path(...parts: string[]): string;
  /** Writes files, making the folders in between; what exists is overwritten. */
  write(files: Files): Promise<void>;
  read(path: string): Promise<string>;
  /** The paths of all files below, relative, with "/", sorted. */
  list(): Promise<string[]>;
  /** Gives all that is in it now to another user, so that amber can be run as that user here. */
  giveTo(user: User): Promise<void>;
}

/** An empty folder, removed at the end of the scope with all that is in it. */
export async function tempFolder(files: Files = {}): Promise<TempFolder> {
  const root = await Deno.makeTempDir({ dir: tempBase(), prefix: "amber-test-" });
  const folder: TempFolder = {
    root,
    path: (...parts) => join(root, ...parts),
    async write(entries) {
      for (const [path, content] of Object.entries(entries)) {
        const target = join(root, path);
        if (path.endsWith("/")) {
          await Deno.mkdir(target, { recursive: true });
          continue;
        }
        await Deno.mkdir(dirname(target), { recursive: true });
        if (typeof content === "string") await Deno.writeTextFile(target, content);
        else await Deno.writeFile(target, content);
      }
    },
    read: (path) => Deno.readTextFile(join(root, path)),
    list: () => Promise.resolve([...filesBelow(root, "")].sort()),
    giveTo: (user) => Promise.resolve(chownAll(root, user)),
    [Symbol.asyncDispose]: () => removeFolder(root),
  };
  await folder.write(files);
  return folder;
}

/** Removes a folder, even one that a test made read-only. No error when it is not there. */
export async function removeFolder(root: string): Promise<void> {
  try {
    await Deno.remove(root, { recursive: true });
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return;
    if (!(error instanceof Deno.errors.PermissionDenied)) throw error;
    makeWritable(root);
    await Deno.remove(root, { recursive: true });
  }
}

function makeWritable(folder: string): void {
  Deno.chmodSync(folder, 0o700);
  for (const entry of Deno.readDirSync(folder)) if (entry.isDirectory) makeWritable(join(folder, entry.name));
}

export function chownAll(path: string, user: User): void {
  const facts = Deno.lstatSync(path);
  // A link's target may lie anywhere, and Deno.chown follows links.
  if (facts.isSymlink) return;
  Deno.chownSync(path, user.uid, user.gid);
  if (facts.isDirectory) { for (const entry of Deno.readDirSync(path)) chownAll(join(path, entry.name), user); }
}

function* filesBelow(root: string, inside: string): Generator<string> {
  for (const entry of Deno.readDirSync(join(root, inside))) {
    const path = inside === "" ? entry.name : `${inside}/${entry.name}`;
    if (entry.isDirectory) yield* filesBelow(root, path);
    else yield path;
  }
}
