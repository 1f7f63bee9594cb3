import assert from "node:assert/strict";
import { type Outline, type Selection, selectItems } from "../../lib/capture/restore_items.ts";
import { type Occupant, planRestore, type RestorePlan } from "../../lib/capture/restore_plan.ts";
import type { Scanned } from "../../lib/capture/scan.ts";
import type { DatabaseFacts } from "../../lib/repository/snapshot_file.ts";

const everything: Selection = { paths: [], files: true, database: true };

/** `a/` a folder, `a@` a link, `a=b` a hard link to b, `a.db` a database, everything else a file. */
function outlineOf(text: string): Outline {
  const [, path, end = ""] = /^(.*?)(\/|@|=.*)?$/s.exec(text)!;
  const type = end === "/" ? "folder" : end === "@" ? "link" : end.startsWith("=") ? "hardlink" : "file";
  return {
    ...{ path: path!, type, mode: type === "folder" ? 0o755 : 0o644, uid: 0, gid: 0, mtimeMs: 1000 },
    ...{ size: type === "file" ? 10 : 0, allocated: type === "file" ? 10 : 0, contentHash: "0".repeat(64) },
    ...{ database: path!.endsWith(".db"), blockSize: 4096 },
    ...(type === "link" ? { target: "elsewhere" } : end.startsWith("=") ? { target: end.slice(1) } : {}),
  } as Outline;
}

function scannedOf(text: string): Scanned {
  const { path, type, mode, uid, gid, mtimeMs, size, target } = outlineOf(text);
  const common = { path, mode, uid, gid, mtimeMs, size, device: 1, inode: 1, names: 1 };
  return { ...common, type: type as Scanned["type"], ...(target ? { target } : {}) };
}

function factsOf(path: string, configured: boolean): DatabaseFacts {
  return { path, configured, pageSize: 4096, pages: 2, journal: "wal", rows: { t: 3, u: 4 } };
}

interface Case {
  snapshot: string[];
  present?: string[];
  selection?: Partial<Selection>;
  configured?: string; // in the snapshot
  place?: string; // now
  kept?: string[];
  occupants?: Record<string, Occupant>;
  replace?: boolean;
  mounts?: string[];
}

function plan(one: Case): { plan: RestorePlan; notes: string[]; places: Record<string, string> } {
  const outlines = one.snapshot.map(outlineOf).sort((a, b) => (a.path < b.path ? -1 : 1));
  const kept = one.kept ?? [];
  const selection = { ...everything, ...one.selection };
  const place = "place" in one ? one.place : one.configured;
  const { items, notes } = selectItems({
    outlines,
    databases: outlines.filter(({ database }) => database).map(({ path }) => factsOf(path, path === one.configured)),
    selection,
    place,
    isKept: (path) => kept.some((other) => path === other || path.startsWith(`${other}/`)),
  });
  const present = (one.present ?? []).map(scannedOf).map((scanned) => ({
    ...scanned,
    device: one.mounts?.some((mount) => scanned.path === mount || scanned.path.startsWith(`${mount}/`)) ? 2 : 1,
  }));
  return {
    notes,
    places: Object.fromEntries(items.map((item) => [item.path, item.place])),
    plan: planRestore({
      items,
      known: new Set(outlines.map(({ path }) => path)),
      present,
      kept,
      selection,
      place,
      device: 1,
      occupants: new Map(Object.entries(one.occupants ?? {})),
      replace: one.replace ?? false,
      owners: false,
    }),
  };
}

function how({ plan: { items } }: { plan: RestorePlan }): Record<string, string> {
  return Object.fromEntries(items.map((item) => [item.path, item.how]));
}

Deno.test("planRestore() tells what is new, what is replaced, and what looks the same", () => {
  const planned = plan({
    snapshot: ["a/", "a/new", "a/same", "a/changed", "l@"],
    present: ["a/", "a/same", "a/changed@", "l@"],
  });
  assert.deepEqual(how(planned), { a: "same", "a/new": "new", "a/same": "same", "a/changed": "replaced", l: "same" });
  assert.equal(planned.plan.bytes, 30);
  assert.equal(planned.plan.neededBytes, 20);
  assert.equal(planned.plan.overwrites, true);
});

Deno.test("planRestore() into nothing overwrites nothing", () => {
  const { plan: { overwrites, goes } } = plan({ snapshot: ["a/", "a/b", "x.db"], configured: "x.db" });
  assert.deepEqual({ overwrites, goes }, { overwrites: false, goes: [] });
});

const going: { name: string; case: Case; goes: string[] }[] = [
  {
    name: "a folder that the snapshot does not have goes as a whole",
    case: { snapshot: ["a"], present: ["a", "n/", "n/b", "n/c/", "n/c/d", "n-e", "nf"] },
    goes: ["n", "n-e", "nf"],
  },
  {
    name: "a folder stays when something in it does",
    case: { snapshot: ["a"], present: ["a", "n/", "n/b", "n/c/", "n/c/d"], kept: ["n/c/socket"] },
    goes: ["n/b", "n/c/d"],
  },
  {
    name: "the repository stays, and what the snapshot had in its place does not come",
    case: { snapshot: ["backups/", "backups/x"], present: ["y"], kept: ["backups"] },
    goes: ["y"],
  },
  {
    name: "what is in the way goes, with everything in it",
    case: { snapshot: ["a", "b/", "b/c"], present: ["a/", "a/x", "a/y/", "b"] },
    goes: ["a", "b"],
  },
  {
    name: "a database goes with what lies beside it",
    case: { snapshot: ["a"], present: ["a", "old.db", "old.db-wal", "old.db-shm"] },
    goes: ["old.db", "old.db-shm", "old.db-wal"],
  },
  {
    name: "what lies beside a database that comes is that one's affair",
    case: {
      snapshot: ["x.db"],
      configured: "x.db",
      present: ["x.db", "x.db-wal", "x.db-shm", "x.db-journal", "x.db.amber-lock"],
    },
    goes: [],
  },
  {
    name: "the configured database of today stays where the snapshot has none",
    case: { snapshot: ["a"], place: "prod.db", present: ["a", "prod.db", "prod.db-wal", "b"] },
    goes: ["b"],
  },
  {
    name: "what the snapshot has does not go, also when it comes to another place",
    case: { snapshot: ["prod.db"], configured: "prod.db", place: "/database.db", present: ["prod.db", "b"] },
    goes: ["b"],
  },
  {
    name: "nothing goes for a path",
    case: { snapshot: ["u/", "u/a"], present: ["u/", "u/a", "u/b", "c"], selection: { paths: ["u"] } },
    goes: [],
  },
  {
    name: "what is in a path's way goes",
    case: { snapshot: ["u/", "u/a"], present: ["u", "c"], selection: { paths: ["u/a"] } },
    goes: ["u"],
  },
  {
    name: "nothing goes for a database alone",
    case: {
      snapshot: ["a", "x.db"],
      configured: "x.db",
      present: ["b", "x.db"],
      selection: { files: false, database: true },
    },
    goes: [],
  },
  {
    name: "other databases are files; the configured one is not",
    case: {
      snapshot: ["x.db", "y.db"],
      configured: "x.db",
      present: ["x.db", "z.db", "y.db"],
      selection: { files: true, database: false },
    },
    goes: ["z.db"],
  },
  {
    name: "a mount point stays, what is in it goes",
    case: { snapshot: ["a"], present: ["a", "m/", "m/b", "m/c/", "m/c/d"], mounts: ["m"] },
    goes: ["m/b", "m/c"],
  },
  {
    name: "a link in the way of another database than the configured one goes",
    case: { snapshot: ["y.db"], present: ["y.db@"] },
    goes: ["y.db"],
  },
];

for (const one of going) {
  Deno.test(`planRestore(): ${one.name}`, () => {
    assert.deepEqual(plan(one.case).plan.goes, one.goes);
  });
}

Deno.test("planRestore() refuses to put a file where a folder has something in it that stays", () => {
  assert.throws(() => plan({ snapshot: ["a"], present: ["a/", "a/b/"], kept: ["a/b/repository"] }), {
    code: "RESTORE_BLOCKED",
  });
  assert.throws(() => plan({ snapshot: ["m"], present: ["m/", "m/b"], mounts: ["m"] }), {
    code: "RESTORE_BLOCKED",
    message: /mount point/,
  });
});

Deno.test("planRestore() writes a database that is there through SQLite, and says what stops it", () => {
  const configured = { snapshot: ["x.db"], configured: "x.db", present: ["x.db"] };
  const of = (occupant: Occupant, replace = false) => {
    const [{ way, how, blocked } = { way: "", how: "", blocked: undefined }] =
      plan({ ...configured, occupants: { "x.db": occupant }, replace }).plan.databases;
    return [way, how, blocked !== undefined];
  };
  assert.deepEqual(of({ state: "none" }), ["rename", "new", false]);
  assert.deepEqual(of({ state: "empty" }), ["live", "new", false]);
  assert.deepEqual(of({ state: "database", pageSize: 4096, tables: 2 }), ["live", "replaced", false]);
  assert.deepEqual(of({ state: "database", pageSize: 4096, tables: 0 }), ["live", "new", false]);
  assert.deepEqual(of({ state: "database", pageSize: 1024, tables: 2 }), ["live", "replaced", true]);
  assert.deepEqual(of({ state: "unusable", why: "it is damaged" }), ["live", "replaced", true]);
  assert.deepEqual(of({ state: "unusable", why: "it is damaged" }, true), ["rename", "replaced", false]);
  const { rows, migrations } = plan(configured).plan.databases[0]!;
  assert.deepEqual({ rows, migrations }, { rows: 7, migrations: undefined });
});

Deno.test("selectItems() sends the configured database to where it is configured now", () => {
  const there = plan({ snapshot: ["prod.db", "b"], configured: "prod.db", place: "/database.db" });
  assert.deepEqual(there.places, { b: "b", "prod.db": "/database.db" });
  const back = plan({ snapshot: ["/database.db", "b"], configured: "/database.db", place: "db/prod.db" });
  assert.deepEqual(back.places, { "/database.db": "db/prod.db", b: "b" });
  const without = plan({ snapshot: ["prod.db", "b"], configured: "prod.db", place: undefined });
  assert.deepEqual(without.places, { b: "b" });
  assert.match(without.notes.join(), /it is one of SQLite, and a Postgres is configured/);
});

Deno.test("selectItems() refuses two for one place, and leaves the configured place alone for --files", () => {
  const both = { snapshot: ["a.db", "b.db"], configured: "a.db", place: "b.db" };
  assert.throws(() => plan(both), { code: "USAGE", message: /both/ });
  const under = { snapshot: ["a.db", "b"], configured: "a.db", place: "b/a.db" };
  assert.throws(() => plan(under), { code: "USAGE" });
  const files = plan({ ...both, selection: { files: true, database: false } });
  assert.deepEqual(files.places, {});
  assert.match(files.notes.join(), /"b.db" is left out/);
});

Deno.test("selectItems() takes paths as people write them, with the folders that they lie in", () => {
  const snapshot = ["u/", "u/a/", "u/a/b", "u/ab", "v", "x.db"];
  const chosen = (...paths: string[]) =>
    Object.keys(plan({ snapshot, configured: "x.db", selection: { paths } }).places);
  assert.deepEqual(chosen("u/a"), ["u", "u/a", "u/a/b"]);
  assert.deepEqual(chosen("./u/a/b", "v/"), ["u", "u/a", "u/a/b", "v"]);
  assert.deepEqual(chosen("x.db"), ["x.db"]);
  assert.throws(() => chosen("nope"), { code: "SNAPSHOT_FILE_UNKNOWN" });
  assert.throws(() => chosen("u/a", "u/nope"), { code: "SNAPSHOT_FILE_UNKNOWN", message: /u\/nope/ });
  for (const wrong of ["../u", "/etc/passwd", "", ".", "u/../v"]) {
    assert.throws(() => chosen(wrong), { code: "USAGE" }, wrong);
  }
});

Deno.test("selectItems() makes a hard link a file when the file that it was one of does not come", () => {
  const snapshot = ["a", "b=a", "c=a", "d/", "d/e=a"];
  const { items } = plan({ snapshot, selection: { paths: ["b", "d"] } }).plan;
  assert.deepEqual(items.map(({ path, type }) => [path, type]), [["b", "file"], ["d", "folder"], ["d/e", "hardlink"]]);
  assert.throws(() => plan({ snapshot: ["a@", "b=a"] }), { code: "OBJECT_DAMAGED" });
});

Deno.test("selectItems() refuses a forged tree: something inside a file or a link", () => {
  assert.throws(() => plan({ snapshot: ["a@", "a/b"] }), { code: "OBJECT_DAMAGED" });
  assert.throws(() => plan({ snapshot: ["a", "a/b/c"] }), { code: "OBJECT_DAMAGED" });
  assert.throws(() => plan({ snapshot: ["/database.db"] }), { code: "OBJECT_DAMAGED" });
});

Deno.test("planRestore() of 100,000 paths takes no time", () => {
  const snapshot = Array.from({ length: 50_000 }, (_, index) => `f${index % 100}/x${index}`);
  const present = Array.from({ length: 50_000 }, (_, index) => `g/h/y${index}`);
  const started = performance.now();
  const { plan: { goesCount, items } } = plan({ snapshot, present: ["g/", "g/h/", ...present] });
  assert.deepEqual([goesCount, items.length], [50_002, 50_000]);
  assert.ok(performance.now() - started < 10_000);
});
