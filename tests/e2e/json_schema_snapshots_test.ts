/** Every line of `--json` from the commands about snapshots is what tests/schemas says. */
import { command } from "../support/command.ts";
import { sharedPostgres } from "../support/postgres.ts";
import { testWith } from "../support/skip.ts";
import { type DataApp, dataApp } from "./data_app.ts";
import { families, JsonLines } from "./json_lines.ts";

const files = {
  "migrations/0001_tags.sql": "create table tags (id integer);",
  "data/uploads/a.txt": "a cat ".repeat(1_000),
  "data/uploads/old.txt": "goes",
  "data/skip.tmp": "left out",
};
const env = { DB_PATH: "data/app.db", AMBER_REPOSITORY: "repository" };

Deno.test("snapshot and its kin: every line is one that the schemas know", async (t) => {
  const lines = new JsonLines();
  await using app = await dataApp(files);
  const at = (more: Record<string, string> = {}) => ({ cwd: app.folder.root, env: { ...env, ...more } });
  const ends = (status: number, ...args: string[]) => lines.ends(status, args, at());

  await t.step("good ones", async () => {
    await ends(2, "snapshots");
    await app.ends(0, ["migrate"]);
    await ends(0, "snapshot", "--plan");
    const [first] = (await ends(0, "snapshot", "--tag", "before", "--exclude", "*.tmp")).slice(-1);
    await change(app);
    await ends(6, "snapshot"); // an upload with a name that is not UTF-8
    await lines.ends(6, ["snapshot"], at({ AMBER_KEEP: "1 last" })); // prunes
    await ends(2, "snapshot", "--tag", "");
    await ends(2, "snapshot", "--data", "nowhere");
    await ends(0, "drill");
    await ends(0, "snapshots");
    await ends(0, "ls", "latest");
    await ends(0, "ls", "latest", "uploads/a.txt");
    await ends(2, "ls", "0000");
    await ends(2, "diff", "0000");
    await ends(0, "prune", "--undo", String(first!.id));
    await ends(0, "prune", "--undo", String(first!.id));
    await ends(0, "diff", String(first!.id));
    await ends(0, "diff", "latest", "latest");
    await ends(2, "cat", "latest", "uploads/a.txt");
    await ends(0, "verify");
    await ends(0, "verify", "--share", "1/7");
    await ends(0, "prune");
    await ends(0, "prune", "--keep", "1 last", "--keep-tag", "before", "--plan");
    await ends(2, "prune", "--remove", String(first!.id));
    await ends(0, "prune", "--remove", String(first!.id), "--yes");
    await ends(2, "prune", "--keep", "now and then");
    await ends(0, "export", "latest", "-o", "data.tar");
    await ends(2, "export", "latest");
  });
  await t.step("bad ones", async () => {
    const lost = await damage(app);
    await ends(0, "snapshots");
    await ends(7, "verify");
    await ends(7, "drill");
    await ends(2, "verify", "-r", "nowhere");
    await ends(2, "drill", "-r", "nowhere");
    await ends(7, "prune", "--plan");
    await ends(0, "prune", "--remove", lost, "--yes");
    await ends(7, "export", "latest", "-o", "bad.tar");
  });
  await lines.areSound(families.snapshots);
});

testWith("postgres", "snapshots of a Postgres database: every line is one that the schemas know", async () => {
  await using database = await (await sharedPostgres()).database();
  await using app = await dataApp({ ...files, "migrations/0001_tags.sql": "create table tags (id integer);" });
  const lines = new JsonLines();
  const ends = (status: number, ...args: string[]) =>
    lines.ends(status, args, { cwd: app.folder.root, env: { ...env, DATABASE_URL: database.url } });
  await ends(0, "migrate");
  await ends(0, "snapshot", "--plan");
  const [first] = (await ends(0, "snapshot")).slice(-1);
  await database.sql("insert into tags values (1); create table more (id serial primary key)");
  await ends(0, "snapshot");
  await ends(0, "snapshots");
  await ends(0, "status");
  await ends(0, "ls", "latest", "/postgres");
  await ends(0, "diff", String(first!.id));
  await ends(0, "drill");
  await ends(0, "verify");
  await ends(0, "export", "latest", "-o", "data.tar");
  await ends(0, "prune", "--remove", String(first!.id), "--yes");
  await ends(0, "prune", "--undo", String(first!.id));
  await lines.areSound({ commands: [], events: ["entry", "difference"], exits: [0] });
});

/** Something that is new, gone and changed, rows too, and something that a snapshot cannot keep. */
async function change({ folder, sql }: DataApp): Promise<void> {
  await folder.write({ "data/uploads/a.txt": "a dog", "data/uploads/b.txt": "new", "data/uploads/deep/": "" });
  await Deno.remove(folder.path("data/uploads/old.txt"));
  await Deno.symlink("a.txt", folder.path("data/uploads/link"));
  await Deno.link(folder.path("data/uploads/b.txt"), folder.path("data/uploads/second"));
  await Deno.chmod(folder.path("data/skip.tmp"), 0o600);
  sql("insert into posts (text) values ('d'); create table more (id integer)");
  await command("sh", ["-c", `touch "$(printf 'data/bad\\377name')"`], { cwd: folder.root });
}

/** Takes away every pack, and cuts the file of one snapshot, whose id this gives. */
async function damage(app: DataApp): Promise<string> {
  const { folder } = app;
  await app.ends(6, ["snapshot"]);
  const found = (await folder.list()).filter((path) => path.startsWith("repository/"));
  const snapshots = found.filter((path) => path.startsWith("repository/snapshots/"));
  await Deno.truncate(folder.path(snapshots[0]!), 10);
  for (const path of found) if (path.startsWith("repository/packs/")) await Deno.remove(folder.path(path));
  return /-([0-9a-f]{10})/.exec(snapshots[0]!)![1]!;
}
