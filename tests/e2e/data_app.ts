/** An app with data: a folder with a database that it writes, uploads, and amber run in it. */
import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { amber, type AmberOptions, type CommandResult, type JsonLine } from "../support/command.ts";
import { type Files, type TempFolder, tempFolder } from "../support/temp_folder.ts";

export interface DataApp extends AsyncDisposable {
  folder: TempFolder;
  /** Runs amber, which must end with this status. */
  ends(status: number, args: string[], options?: Partial<AmberOptions>): Promise<CommandResult>;
  /** Runs amber with `--json`, which must end well, and gives the last line. */
  result(...args: string[]): Promise<JsonLine>;
  /** Takes a snapshot and gives its id. */
  take(...args: string[]): Promise<string>;
  /** Runs statements in the database `data/app.db`. */
  sql(text: string): void;
}

/**
 * `data/app.db` with 3 posts, in WAL mode, and these files; the repository is `repository`, beside `data`.
 */
export async function dataApp(files: Files = {}, env: Record<string, string> = {}): Promise<DataApp> {
  const folder = await tempFolder({ "data/": "", ...files });
  const variables = { DB_PATH: "data/app.db", AMBER_REPOSITORY: "repository", ...env };
  const ends: DataApp["ends"] = async (status, args, options = {}) => {
    const result = await amber(args, { cwd: folder.root, ...options, env: { ...variables, ...options.env } });
    assert.equal(result.code, status, `amber ${args.join(" ")}\n${result.stdout}\n${result.stderr}`);
    return result;
  };
  const result: DataApp["result"] = async (...args) => {
    const line = (await ends(0, [...args, "--json"])).json.at(-1)!;
    assert.equal(line.type, "result");
    return line;
  };
  const sql = (text: string) => {
    using database = new DatabaseSync(folder.path("data/app.db"));
    database.exec(text);
  };
  sql(
    "pragma journal_mode = wal; create table posts (id integer primary key, text); insert into posts (text) values ('a'), ('b'), ('c')",
  );
  return {
    folder,
    ends,
    result,
    take: async (...args) => (await result("snapshot", ...args)).id as string,
    sql,
    [Symbol.asyncDispose]: () => folder[Symbol.asyncDispose](),
  };
}
