/** Data folders that hold everything a snapshot must bring back, and a description of any folder that can be compared. */
import { createHash } from "node:crypto";
import { lutimesSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import { isRoot } from "./user.ts";

/** Times with milliseconds, before any test began. */
const timeMs = 1_700_000_000_123;

/**
 * Fills a folder with everything: modes, links that dangle and that lead out, empty folders, hard links, files of no
 * bytes and of several blocks, a sparse one, the names that file systems allow, two databases.
 */
export function makeEverything(folder: string): void {
  Deno.mkdirSync(folder, { recursive: true, mode: 0o700 });
  const file = (path: string, content: string | Uint8Array, mode = 0o644, ms = timeMs) => {
    const bytes = typeof content === "string" ? new TextEncoder().encode(content) : content;
    Deno.writeFileSync(`${folder}/${path}`, bytes);
    Deno.chmodSync(`${folder}/${path}`, mode);
    Deno.utimeSync(`${folder}/${path}`, new Date(ms), new Date(ms));
  };
  const link = (path: string, target: string) => {
    Deno.symlinkSync(target, `${folder}/${path}`);
    lutimesSync(`${folder}/${path}`, timeMs / 1000, timeMs / 1000);
  };
  const folders = ["empty", "modes", "links", "hard", "names", "sizes", "deep", "deep/er", "deep/er/still", "closed"];
  for (const path of folders) Deno.mkdirSync(`${folder}/${path}`);

  for (const mode of [0o600, 0o640, 0o444, 0o755, 0o777]) file(`modes/${mode.toString(8)}`, `mode ${mode}`, mode);
  link("links/inside", "../modes/600");
  link("links/dangling", "nowhere/at all");
  link("links/outside", "/etc/hostname");
  link("links/folder", "../deep");
  file("hard/a", "one file with three names");
  Deno.linkSync(`${folder}/hard/a`, `${folder}/hard/b`);
  Deno.linkSync(`${folder}/hard/a`, `${folder}/deep/er/c`);
  for (
    const name of [
      "with\nnewline",
      "with space",
      `"quoted" and 'quoted'`,
      "ünï¢öd€ 日本語 🎉",
      "-rf",
      "back\\slash",
      "tab\there",
      "$HOME `x` *",
      "Case",
      "case",
      "n".repeat(255),
      "é".repeat(127), // 254 bytes
    ]
  ) file(`names/${name}`, `named ${name.slice(0, 20)}`, 0o644, timeMs + name.length);
  file("sizes/none", "");
  file("sizes/one", "1");
  file("sizes/block", new Uint8Array(1 << 20).fill(7));
  file("sizes/several", patterned((5 << 19) + 17));
  makeSparse(`${folder}/sizes/sparse`);
  file("deep/er/still/here", "deep");
  file("closed/file", "in a folder that nobody may write in", 0o400);
  makeDatabase(`${folder}/notes.db`, { journal: "wal", rows: 200 });
  makeDatabase(`${folder}/deep/old.sqlite`, { journal: "delete", rows: 50 });

  Deno.chmodSync(`${folder}/closed`, 0o500);
  Deno.chmodSync(`${folder}/empty`, 0o711);
  for (const path of folders.reverse()) Deno.utimeSync(`${folder}/${path}`, new Date(timeMs), new Date(timeMs));
}

/** What only root can make: owners and set-id bits. */
export function makeOwned(folder: string): void {
  if (!isRoot()) throw new Error("Only root can give files to others");
  for (const [name, mode] of [["setuid", 0o4755], ["setgid", 0o2755]] as const) {
    Deno.writeTextFileSync(`${folder}/${name}`, name);
    Deno.chownSync(`${folder}/${name}`, 1234, 2345);
    Deno.chmodSync(`${folder}/${name}`, mode);
  }
  Deno.mkdirSync(`${folder}/theirs`);
  Deno.chownSync(`${folder}/theirs`, 1234, 2345);
  Deno.chmodSync(`${folder}/theirs`, 0o2770);
}

/** Bytes that differ from block to block. */
export function patterned(size: number): Uint8Array {
  const bytes = new Uint8Array(size);
  for (let i = 0; i < size; i++) bytes[i] = (i * 31 + (i >> 8) * 7 + (i >> 16)) & 0xff;
  return bytes;
}

/** 12 MiB and a bit, three of them written. */
function makeSparse(path: string): void {
  using file = Deno.openSync(path, { write: true, createNew: true });
  for (const at of [0, 5 << 20, 11 << 20]) {
    file.seekSync(at, Deno.SeekMode.Start);
    file.writeSync(patterned(64 << 10));
  }
  file.truncateSync((12 << 20) + 5);
  file.syncSync(); // until then the file system may not have decided how much it takes
  Deno.utimeSync(path, new Date(timeMs), new Date(timeMs));
}

/** A database with a table `notes` of so many rows, closed again. */
export function makeDatabase(
  path: string,
  { journal = "wal", rows = 10, pageSize = 4096, text = "row" }: {
    journal?: "wal" | "delete";
    rows?: number;
    pageSize?: number;
    text?: string;
  } = {},
): void {
  const database = new DatabaseSync(path);
  database.exec(`pragma page_size = ${pageSize}; pragma journal_mode = ${journal};
    create table notes (id integer primary key, text text not null, n integer);
    create index notes_n on notes (n)`);
  const insert = database.prepare("insert into notes (text, n) values (?, ?)");
  database.exec("begin");
  for (let i = 0; i < rows; i++) insert.run(`${text} ${i} ${"x".repeat(i % 90)}`, BigInt(i * 7 % 101));
  database.exec("commit");
  database.close();
}

/** One path as it can be compared. */
export type Described = Record<string, unknown>;

/** Every path below a folder. Databases by their rows: their bytes may differ where SQLite is free to choose. */
export function treeOf(
  folder: string,
  options: { except?: readonly string[]; owners?: boolean } = {},
): Record<string, Described> {
  const found: Record<string, Described> = {};
  const names = new Map<string, string[]>(); // inode → paths
  const walk = (prefix: string) => {
    const entries = [...Deno.readDirSync(`${folder}/${prefix}`)].sort((a, b) => (a.name < b.name ? -1 : 1));
    for (const { name } of entries) {
      const path = prefix + name;
      if ((options.except ?? [".amber"]).includes(path)) continue;
      const info = Deno.lstatSync(`${folder}/${path}`);
      const common: Described = {
        mode: info.isSymlink ? "" : (info.mode! & 0o7777).toString(8),
        mtimeMs: info.mtime!.getTime(),
        ...(options.owners ? { owner: `${info.uid}:${info.gid}` } : {}),
      };
      if (info.isSymlink) found[path] = { type: "link", target: Deno.readLinkSync(`${folder}/${path}`), ...common };
      else if (info.isDirectory) {
        found[path] = { type: "folder", ...common };
        walk(`${path}/`);
      } else if (!info.isFile) found[path] = { type: "special" }; // opening a FIFO would wait for ever
      else if (isCompanion(`${folder}/${path}`)) continue;
      else if (isDatabase(`${folder}/${path}`)) {
        found[path] = { type: "database", mode: common.mode, ...rowsOf(`${folder}/${path}`) };
      } else {
        const inode = `${info.dev}:${info.ino}`;
        if (info.nlink! > 1) names.set(inode, [...names.get(inode) ?? [], path]);
        found[path] = {
          type: "file",
          size: info.size,
          // A hole of less than a block of the repository, 1 MiB, comes back as zeros.
          isSparse: (info.blocks ?? 0) * 512 < info.size / 2,
          sha256: createHash("sha256").update(Deno.readFileSync(`${folder}/${path}`)).digest("hex"),
          ...common,
        };
      }
    }
  };
  walk("");
  for (const paths of names.values()) for (const path of paths) found[path]!.sameAs = paths.join(" = ");
  return found;
}

function isCompanion(full: string): boolean {
  const main = full.replace(/-(wal|shm|journal)$/, "");
  if (main === full) return false;
  try {
    return isDatabase(main);
  } catch {
    return false;
  }
}

function isDatabase(full: string): boolean {
  using file = Deno.openSync(full, { read: true });
  const header = new Uint8Array(16);
  return file.readSync(header) === 16 && new TextDecoder().decode(header) === "SQLite format 3\0";
}

/** Schema and all rows of a database, and whether it is sound. */
export function rowsOf(path: string): { schema: string[]; rows: string; count: number; integrity: string } {
  const database = new DatabaseSync(path);
  try {
    const schema = database.prepare("select name, sql from sqlite_schema order by name").all() as {
      name: string;
      sql: string | null;
    }[];
    const tables = schema.filter(({ sql }) => sql?.startsWith("CREATE TABLE"));
    const hash = createHash("sha256");
    let count = 0;
    for (const { name } of tables) {
      for (const row of database.prepare(`select * from "${name}" order by 1`).iterate()) {
        hash.update(JSON.stringify([name, row]));
        count++;
      }
    }
    return {
      schema: schema.map(({ name, sql }) => sql ?? name),
      rows: hash.digest("hex"),
      count,
      integrity: String(Object.values(database.prepare("pragma integrity_check").get()!)[0]),
    };
  } finally {
    database.close();
  }
}
