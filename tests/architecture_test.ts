/** The arrows of ARCHITECTURE.md, and what runs across everything, read from the source itself. */
import assert from "node:assert/strict";
import { join, posix } from "node:path";
import config from "../deno.json" with { type: "json" };
import { included } from "../compile.ts";
import { version } from "../lib/version.ts";

const project = join(import.meta.dirname!, "..");

interface Import {
  from: string; // path in the project
  to: string; // path in the project, or a package or built-in module
  isType: boolean;
  isDynamic: boolean;
  names: string[]; // what is imported, as it is called there; "*" for all
}

const sources = new Map(
  ["cli.ts", "mod.ts", ...filesBelow("lib")].filter((path) => path.endsWith(".ts")).map((path) => [path, read(path)]),
);
const code = new Map([...sources].map(([path, text]) => [path, withoutComments(text)]));
const imports = [...code].flatMap(([path, text]) => importsOf(path, text));

function read(path: string): string {
  return Deno.readTextFileSync(join(project, path));
}

function* filesBelow(folder: string): Generator<string> {
  for (const entry of Deno.readDirSync(join(project, folder))) {
    const path = `${folder}/${entry.name}`;
    if (entry.isDirectory) yield* filesBelow(path);
    else yield path;
  }
}

function withoutComments(text: string): string {
  return text.replace(/\/\*[\s\S]*?\*\//g, "").replace(/(^|[\s;{}(),])\/\/.*$/gm, "$1");
}

function importsOf(path: string, text: string): Import[] {
  const resolve = (to: string) => to.startsWith(".") ? posix.join(posix.dirname(path), to) : to;
  const found: Import[] = [];
  for (const [, keyword, list = "", to] of text.matchAll(/^(import|export)\s([^"';]*?)\sfrom\s+"([^"]+)"/gm)) {
    const isType = /^type\s/.test(list);
    const named = /\{([\s\S]*)\}/.exec(list)?.[1]?.split(",").map((name) => name.trim()).filter(Boolean) ?? ["*"];
    for (const name of named) {
      found.push({
        from: path,
        to: resolve(to!),
        isType: isType || /^type\s/.test(name),
        isDynamic: false,
        names: [name.replace(/^type\s+/, "").split(/\s+as\s/)[0]!],
      });
    }
    assert.ok(keyword);
  }
  for (const [, to] of text.matchAll(/^import\s+"([^"]+)"/gm)) {
    found.push({ from: path, to: resolve(to!), isType: false, isDynamic: false, names: [] });
  }
  for (const [, to] of text.matchAll(/\bimport\("([^"]+)"\)/g)) {
    // `import("…").Name` as a type loads nothing, and `await import("…")` does.
    const isType = new RegExp(
      `:\\s*import\\("${to!.replaceAll(".", "\\.")}"\\)|<import\\("${to!.replaceAll(".", "\\.")}"\\)`,
    )
      .test(text);
    found.push({ from: path, to: resolve(to!), isType, isDynamic: true, names: ["*"] });
  }
  return found;
}

/** From the top to the bottom; a file may import from its own folder and from the layers below. */
const layers = [
  ["top"],
  ["lib/commands"],
  ["lib/output"],
  ["lib/stories"],
  ["lib/migrations", "lib/capture", "lib/repository"],
  ["lib/engines", "lib/stores"],
  ["bottom"],
];

function layerOf(path: string): number {
  if (path === "cli.ts" || path === "mod.ts") return 0;
  const index = layers.findIndex((layer) => layer.some((folder) => path.startsWith(`${folder}/`)));
  return index < 0 ? layers.length - 1 : index;
}

/** The folder of a layer that a file lies in. */
function folderOf(path: string): string {
  return layers[layerOf(path)]!.find((folder) => path.startsWith(`${folder}/`)) ?? "bottom";
}

const isOurs = (path: string) => sources.has(path);

Deno.test("every import within the project leads to a file", () => {
  const missing = imports.filter(({ to }) => /^(lib\/|cli\.ts|mod\.ts|\.)/.test(to) && !isOurs(to));
  assert.deepEqual(missing, []);
  assert.ok(imports.length > 200, `only ${imports.length} imports were found: is this test still reading them?`);
});

Deno.test("imports point down", () => {
  const upward = imports.filter(({ from, to, isType, names }) => {
    if (!isOurs(to) || layerOf(from) <= layerOf(to)) return false;
    // The two kinds that ARCHITECTURE.md names, types both.
    if (isType && from.startsWith("lib/engines/") && to === "lib/migrations/lexer.ts") return names[0] !== "Dialect";
    return !(isType && from.startsWith("lib/output/") && to.startsWith("lib/stories/"));
  });
  assert.deepEqual(upward.map(({ from, to, names }) => `${from} → ${to} (${names})`), []);
});

Deno.test("what stands side by side does not know of each other", () => {
  const sideways = imports.filter(({ from, to, isType }) => {
    if (!isOurs(to) || layerOf(from) !== layerOf(to) || folderOf(from) === folderOf(to) || layerOf(from) === 0) {
      return false;
    }
    // What a snapshot says is what capture takes in and puts back: types, and the tree's and the hashes' plain rules.
    const isSnapshots = from.startsWith("lib/capture/") && to.startsWith("lib/repository/");
    const rules = ["lib/repository/tree.ts", "lib/repository/content_hash.ts"];
    return !(isSnapshots && (isType || rules.includes(to)));
  });
  assert.deepEqual(sideways.map(({ from, to, names }) => `${from} → ${to} (${names})`), []);
});

Deno.test("nobody but stores knows what kinds of stores there are", () => {
  const allowed = new Set(["lib/stores/store.ts", "lib/stores/open.ts", "lib/stores/file_calls.ts"]);
  const wrong = imports.filter(({ from, to }) =>
    !from.startsWith("lib/stores/") && to.startsWith("lib/stores/") && !allowed.has(to)
  );
  assert.deepEqual(wrong.map(({ from, to }) => `${from} → ${to}`), []);
});

Deno.test("output knows of stories only their types, and stories know nothing of output", () => {
  const wrong = imports.filter(({ from, to, isType }) =>
    (from.startsWith("lib/output/") && to.startsWith("lib/stories/") && !isType) ||
    (from.startsWith("lib/stories/") && /^lib\/(output|commands)\//.test(to))
  );
  assert.deepEqual(wrong, []);
});

Deno.test("migrations know engines by their interface alone", () => {
  const allowed = new Set(["literal", "quoteName", "StatementFailure"]);
  const wrong = imports.filter(({ from, to, isType, names }) =>
    from.startsWith("lib/migrations/") && to.startsWith("lib/engines/") &&
    !(to === "lib/engines/engine.ts" && (isType || names.every((name) => allowed.has(name))))
  );
  assert.deepEqual(wrong.map(({ from, to, names }) => `${from} → ${to} (${names})`), []);
});

Deno.test("the two engines do not know of each other, and nobody else opens them but capture", () => {
  const wrong = imports.filter(({ from, to }) => {
    const engine = /^lib\/engines\/(sqlite|postgres)\//.exec(to)?.[1];
    if (engine === "sqlite" && (from.startsWith("lib/capture/") || from === "lib/stories/drill_report.ts")) {
      return false;
    }
    if (engine === "postgres" && from.startsWith("lib/capture/postgres/")) return false;
    return engine && !from.startsWith(`lib/engines/${engine}/`) &&
      !["lib/engines/open.ts", "lib/engines/schema.ts"].includes(from);
  });
  assert.deepEqual(wrong.map(({ from, to }) => `${from} → ${to}`), []);
});

const pure = [
  "lib/bytes.ts",
  "lib/config.ts",
  "lib/database_url.ts",
  "lib/dotenv.ts",
  "lib/duration.ts",
  "lib/errors.ts",
  "lib/moment.ts",
  "lib/patterns.ts",
  "lib/secrets.ts",
  "lib/snapshot_config.ts",
  "lib/variables.ts",
  "lib/capture/restore_items.ts",
  "lib/capture/restore_plan.ts",
  "lib/migrations/explain.ts",
  "lib/migrations/graph.ts",
  "lib/migrations/history_row.ts",
  "lib/migrations/lexer.ts",
  "lib/migrations/migration.ts",
  "lib/migrations/plan.ts",
  "lib/migrations/script.ts",
  "lib/migrations/splitter.ts",
  "lib/migrations/sql_file.ts",
  "lib/migrations/survey.ts",
  "lib/migrations/words.ts",
  "lib/output/events.ts",
  "lib/output/human.ts",
  "lib/output/progress.ts",
  "lib/output/restore_text.ts",
  "lib/output/snapshot_text.ts",
  "lib/output/table.ts",
  "lib/repository/calendar.ts",
  "lib/repository/keep_policy.ts",
  "lib/repository/keep_rules.ts",
  "lib/repository/moment.ts",
  "lib/repository/pack.ts",
  "lib/repository/retention.ts",
  "lib/repository/snapshot_file.ts",
  "lib/repository/tree.ts",
  "lib/stories/progress.ts",
  ...[...sources.keys()].filter((path) => /^lib\/migrations\/.*_facts\.ts$/.test(path)),
];

const impure =
  /\bDeno\s*[.[]|\bfetch\s*\(|\bDate\.now\b|\bnew Date\(\)|\bMath\.random\b|\bperformance\.|\bcrypto\.|\bprocess\.|\bsetTimeout\b|\bglobalThis\b/;
const impureModules = /^(node:(?!util$|buffer$|path$|url$).*|npm:.*|postgres|@stricli\/core)$/;

for (const path of pure) {
  Deno.test(`${path} is pure: no disk, network, clock or chance`, () => {
    const text = code.get(path);
    assert.ok(text !== undefined, `${path} is gone: take it out of the list`);
    assert.equal(impure.exec(text)?.[0], undefined);
    assert.deepEqual(imports.filter(({ from, to, isType }) => from === path && !isType && impureModules.test(to)), []);
  });
}

/** Where a word may stand, a file or a folder; everywhere else it must not. */
const reserved: { what: string; word: RegExp; allowed: string[] }[] = [
  { what: "ends the process", word: /\bDeno\.exit\b|\bprocess\.exit\b/, allowed: ["cli.ts"] },
  { what: "reads the environment", word: /\bDeno\.env\b|\bprocess\.env\b/, allowed: ["cli.ts"] },
  { what: "reads the arguments", word: /\bDeno\.args\b|\bprocess\.argv\b/, allowed: ["cli.ts"] },
  { what: "listens for signals", word: /\bDeno\.addSignalListener\b/, allowed: ["cli.ts"] },
  { what: "writes to the terminal", word: /\bDeno\.(stdout|stderr|stdin)\b/, allowed: ["cli.ts"] },
  // The worker only leads what a migration prints away from stdout.
  { what: "prints", word: /\bconsole\.|\balert\(/, allowed: ["cli.ts", "lib/commands/migrate_worker.ts"] },
  { what: "asks", word: /(?<![.\w])(prompt|confirm)\s*\(\s*(question|"|`)/, allowed: ["cli.ts"] },
  { what: "uses the driver", word: /from "postgres"/, allowed: ["lib/engines/postgres/connection.ts"] },
  {
    what: "writes tar files",
    word: /from "modern-tar"/,
    allowed: ["lib/stories/export.ts", "lib/stories/tar_entry.ts"],
  },
  {
    what: "uses SQLite",
    word: /from "node:sqlite"/,
    allowed: ["lib/engines/sqlite/"],
  },
  {
    what: "writes files",
    word: /\bDeno\.(write\w*|mkdir\w*|rename\w*|create\w*|link\w*|symlink\w*|remove\w*|truncate\w*)\b(?!\.)/,
    allowed: [
      "lib/stories/export_file.ts",
      "lib/stories/init.ts",
      "lib/stories/makemigrations.ts",
      "lib/stories/metrics_file.ts",
      "lib/stories/snapshot_run.ts", // the scratch folder
      "lib/capture/",
      "lib/engines/sqlite/",
      "lib/stores/",
    ],
  },
  { what: "starts programs", word: /\bDeno\.Command\b/, allowed: ["lib/stories/dbshell.ts", "lib/stories/run.ts"] },
  { what: "reaches the network by itself", word: /\bfetch\s*\(|\bDeno\.connect/, allowed: ["lib/stories/ping.ts"] },
];

for (const { what, word, allowed } of reserved) {
  Deno.test(`${allowed.length > 0 ? `only ${allowed.join(", ")}` : "nothing"} ${what}`, () => {
    const users = [...code].filter(([, text]) => word.test(text)).map(([path]) => path);
    assert.deepEqual(
      users.filter((path) =>
        !allowed.some((place) => path === place || (place.endsWith("/") && path.startsWith(place)))
      ),
      [],
    );
  });
}

interface Graph {
  roots: string[];
  modules: { specifier: string; dependencies?: { isDynamic?: boolean; code?: { specifier: string } }[] }[];
}

/** Everything that loading a file loads, without what it imports later. */
async function staticClosure(path: string): Promise<Set<string>> {
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["info", "--json", "--quiet", path],
    cwd: project,
    env: { NO_COLOR: "1" },
  }).output();
  assert.ok(success, new TextDecoder().decode(stderr));
  const { roots, modules } = JSON.parse(new TextDecoder().decode(stdout)) as Graph;
  const byName = new Map(modules.map((module) => [module.specifier, module]));
  const found = new Set<string>();
  const open = [roots[0]!];
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    if (found.has(next)) continue;
    found.add(next);
    for (const { isDynamic, code } of byName.get(next)?.dependencies ?? []) {
      if (code && !isDynamic) open.push(code.specifier);
    }
  }
  return found;
}

const driver = /^npm:\/?postgres@|\/engines\/postgres\//;
const lazy: { file: string; without: RegExp[]; why: string }[] = [
  {
    file: "cli.ts",
    without: [driver, /node:sqlite|\/engines\//, /\/stories\//],
    why: "--help and --version are quick",
  },
  {
    file: "lib/commands/migrate.ts",
    without: [driver, /node:sqlite|\/engines\/sqlite\//, /node:crypto/],
    why: "the usual start pays for nothing that it does not use",
  },
  { file: "lib/commands/migrate_worker.ts", without: [driver], why: "a SQLite run loads no Postgres driver" },
  { file: "lib/commands/snapshot.ts", without: [driver], why: "files and SQLite need no Postgres driver" },
  { file: "lib/commands/restore.ts", without: [driver], why: "files and SQLite need no Postgres driver" },
  { file: "lib/commands/status.ts", without: [driver], why: "one screen is quick" },
  { file: "lib/commands/check.ts", without: [driver, /node:crypto/], why: "a probe is quick" },
  { file: "lib/engines/sqlite/engine.ts", without: [driver], why: "SQLite needs no driver" },
  { file: "lib/engines/postgres/engine.ts", without: [/node:sqlite/], why: "Postgres needs no SQLite" },
];

for (const { file, without, why } of lazy) {
  Deno.test(`loading ${file} loads no more than it needs: ${why}`, async () => {
    const loaded = [...await staticClosure(file)];
    for (const pattern of without) assert.deepEqual(loaded.filter((name) => pattern.test(name)), []);
  });
}

Deno.test("the Postgres engine does load the driver, so that the tests above look for the right name", async () => {
  const loaded = [...await staticClosure("lib/engines/postgres/engine.ts")];
  assert.ok(loaded.some((name) => /^npm:\/?postgres@/.test(name)), loaded.join("\n"));
});

Deno.test("the version is the same everywhere", () => {
  assert.equal(version, config.version);
});

/** Files that are started by their address: workers. */
const workers = [...code].flatMap(([path, text]) =>
  [...text.matchAll(/new URL\("(\.[^"]+\.ts)", import\.meta\.url\)/g)].map(([, to]) =>
    posix.join(posix.dirname(path), to!)
  )
);

Deno.test("no file in lib/ is without a user", () => {
  const used = new Set([...imports.map(({ to }) => to), ...workers, "cli.ts", "mod.ts"]);
  assert.deepEqual([...sources.keys()].filter((path) => !used.has(path)), []);
});

Deno.test("every worker is a file, and part of the compiled binary", () => {
  assert.ok(workers.length > 3, `only ${workers.join(", ")} were found`);
  assert.deepEqual(workers.filter((path) => !isOurs(path)), []);
  assert.deepEqual([...new Set([...workers, "mod.ts"])].sort(), [...included].sort());
});

for (const document of ["ARCHITECTURE.md", "README.md", "CONTRIBUTING.md"]) {
  Deno.test(`every path of the project that ${document} names exists`, () => {
    const text = readIfThere(document);
    if (text === undefined) return;
    const named = new Set(
      [...text.matchAll(
        /(?<![\w./-])((?:lib|tests|\.ci)\/[\w.\/*-]*[\w\/]|(?:cli|mod)\.ts|deno\.(?:json|lock)|[A-Z]+\.md)(?![\w])/g,
      )]
        .map(([, path]) => path!),
    );
    const missing = [...named].filter((path) => !path.includes("*") && !exists(path));
    assert.deepEqual(missing, []);
    if (document === "ARCHITECTURE.md") assert.ok(named.size > 20, `only ${named.size} paths were found`);
  });
}

function readIfThere(path: string): string | undefined {
  try {
    return read(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

function exists(path: string): boolean {
  try {
    Deno.statSync(join(project, path));
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory) return false;
    throw error;
  }
}
