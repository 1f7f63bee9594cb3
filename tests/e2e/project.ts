/** A project of a user: a folder with migrations, a database, and amber run in it. */
import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { amber, type AmberOptions, type CommandResult } from "../support/command.ts";
import { sharedPostgres } from "../support/postgres.ts";
import { schemaFingerprint } from "../support/schema.ts";
import { type Need, testWith } from "../support/skip.ts";
import { type Files, type TempFolder, tempFolder } from "../support/temp_folder.ts";

export type Row = Record<string, unknown>;

export interface Project extends AsyncDisposable {
  engine: "sqlite" | "postgres";
  folder: TempFolder;
  /** What the configuration says: DATABASE_URL, and nothing else. */
  env: Record<string, string>;
  /** Runs amber; whatever it ends with is a result. */
  run(args: string[], options?: Partial<AmberOptions>): Promise<CommandResult>;
  /** Runs amber, which must end with this status. */
  ends(status: number, args: string[], options?: Partial<AmberOptions>): Promise<CommandResult>;
  /** Runs amber with `--json`, which must end well, and gives the last line. */
  result(...args: string[]): Promise<Row>;
  /** Runs amber with `--json`, which must fail, and gives the error. */
  error(
    ...args: string[]
  ): Promise<{ code: string; exit: number; message: string; where: string; hint: string; detail: string }>;
  sql(text: string): Promise<Row[]>;
  /** "0001_a 0002_b~": names in the history, in order; `~` when half done, "" without a history. */
  history(): Promise<string>;
  /** The schema, and the rows when asked for. */
  fingerprint(rows?: "none" | "count" | "content"): Promise<string>;
}

/** A test on a new database of each engine, with these files in the folder. */
export function onBoth(
  name: string,
  files: Files,
  body: (project: Project) => Promise<void>,
  needs: Need[] = [],
): void {
  for (const engine of ["sqlite", "postgres"] as const) {
    testWith(engine === "postgres" ? ["postgres", ...needs] : needs, `${engine}: ${name}`, async () => {
      await using made = await project(engine, files);
      await body(made);
    });
  }
}

export async function project(engine: "sqlite" | "postgres", files: Files): Promise<Project> {
  const folder = await tempFolder(files);
  const database = engine === "postgres" ? await (await sharedPostgres()).database() : undefined;
  const path = folder.path("app.db");
  const env = { DATABASE_URL: database?.url ?? "sqlite:app.db" };
  const run = (args: string[], options: Partial<AmberOptions> = {}) =>
    amber(args, { cwd: folder.root, ...options, env: { ...env, ...options.env } });
  const ends = async (status: number, args: string[], options?: Partial<AmberOptions>) => {
    const result = await run(args, options);
    assert.equal(result.code, status, `amber ${args.join(" ")}\n${result.stdout}\n${result.stderr}`);
    return result;
  };
  const sql = async (text: string): Promise<Row[]> => {
    if (database) return (await database.sql(text)).map((row) => ({ ...row }));
    using db = new DatabaseSync(path);
    db.exec("pragma busy_timeout = 5000");
    if (/^\s*(select|with|pragma)\b/i.test(text)) return db.prepare(text).all().map((row) => ({ ...row }));
    db.exec(text);
    return [];
  };
  return {
    engine,
    folder,
    env,
    run,
    ends,
    sql,
    async result(...args) {
      const line = (await ends(0, [...args, "--json"])).json.at(-1)!;
      assert.equal(line.type, "result");
      return line;
    },
    async error(...args) {
      const { code, json, stderr } = await run([...args, "--json"]);
      const line = json.at(-1);
      assert.equal(line?.type, "error", `amber ${args.join(" ")}\n${JSON.stringify(json)}\n${stderr}`);
      assert.equal(line.exit, code);
      return line as never;
    },
    async history() {
      const there = await sql(
        engine === "sqlite"
          ? "select 1 from sqlite_schema where name = 'amber_migrations'"
          : "select 1 where to_regclass('amber_migrations') is not null",
      );
      if (there.length === 0) return "";
      const rows = await sql("select name, state from amber_migrations order by name");
      return rows.map(({ name, state }) => `${name}${state === "applied" ? "" : "~"}`).join(" ");
    },
    fingerprint: (rows = "none") => schemaFingerprint(database?.url ?? path, { rows }),
    async [Symbol.asyncDispose]() {
      await database?.[Symbol.asyncDispose]();
      await folder[Symbol.asyncDispose]();
    },
  };
}
