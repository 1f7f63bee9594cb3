/**
 * The compiled amber in a container: process 1, not root, a read-only root with nothing but data/ and the repository to
 * write, no HOME, no /tmp, no network, 256 MB.
 */
import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import type { CommandResult } from "../support/command.ts";
import { buildImage, container, type Image, inImage, limitMemory, startContainer } from "../support/container.ts";
import { measure } from "../support/measured.ts";
import { testWith } from "../support/skip.ts";
import { chownAll } from "../support/temp_folder.ts";

const needs = ["binary", "root", "namespaces", "python3"] as const;
const env = { AMBER_REPOSITORY: "/app/backups" };
const mostMB = 256;

interface App extends AsyncDisposable {
  image: Image;
  /** Runs amber in a container of its own, which must end with this status. */
  ends(status: number, args: string[], more?: Record<string, string>): Promise<CommandResult>;
  read<T>(look: (database: DatabaseSync) => T): T;
}

/** An image with migrations, whose data are still empty. */
async function app(migrations: Record<string, string>): Promise<App> {
  const image = await buildImage();
  Deno.mkdirSync(`${image.root}/app/migrations`);
  for (const [name, text] of Object.entries(migrations)) {
    Deno.writeTextFileSync(`${image.root}/app/migrations/${name}`, text);
  }
  return {
    image,
    ends: async (status, args, more = {}) => {
      using memory = limitMemory(mostMB * 1_000_000);
      const { program, words, given } = container(image, args, { env: { ...env, ...more }, memory });
      const { result, peakMB } = await measure([program, ...words], given);
      const said = `amber ${args.join(" ")}\n${result.stdout}\n${result.stderr}`;
      assert.equal(result.code, status, said);
      assert.ok(peakMB < mostMB, `${peakMB} MB: ${said}`);
      assert.equal(memory.kills(), 0, said);
      return result;
    },
    read: (look) => {
      using database = new DatabaseSync(`${image.root}/app/data/prod.db`, { readOnly: true });
      return look(database);
    },
    [Symbol.asyncDispose]: () => image[Symbol.asyncDispose](),
  };
}

const notes = {
  "0001_notes.sql":
    "create table notes (id integer primary key, body text);\ninsert into notes (body) values ('one');\n",
  "0002_code.ts": `import { createHash } from "node:crypto";
export async function up(db: any) {
  await db.exec("alter table notes add column hash text");
  await db.exec("update notes set hash = $1", [createHash("sha256").update("one").digest("hex").slice(0, 8)]);
}\n`,
};

const count = (table: string) => (database: DatabaseSync) =>
  database.prepare(`select count(*) as count from ${table}`).get()!.count;

testWith([...needs], "container: it is what these tests say it is", async () => {
  await using at = await app(notes);
  // `run` starts what the image has, and that is amber alone.
  const { stderr } = await at.ends(0, ["run", "--json", "--", "/usr/local/bin/amber", "--version"]);
  assert.match(stderr, /"applied":\["0001_notes","0002_code"\]/);
  await at.ends(1, ["init"]); // its root cannot be written
  await using running = startContainer(at.image, ["wait", "--url", "postgres://a:b@127.0.0.1:1/x", "--wait", "20s"]);
  await running.until("waiting");
  const inside = Number(Deno.readTextFileSync(`/proc/${running.pid}/task/${running.pid}/children`));
  const [status, devices, mounts] = ["status", "net/dev", "mounts"].map((name) =>
    Deno.readTextFileSync(`/proc/${inside}/${name}`).trim()
  ) as [string, string, string];
  Deno.kill(inside, "SIGTERM");
  assert.equal((await running.result).code, 143);
  const of = (name: string) => new RegExp(`^${name}:[ \\t]*(.*)$`, "m").exec(status)![1]!.trim().split("\t");
  assert.deepEqual([of("NSpid").at(-1), of("Uid")[1], of("Groups")[0]], ["1", "10001", ""]);
  assert.match(of("CapEff")[0]!, /^0+$/);
  assert.equal(devices.split("\n").length, 3, devices); // two lines of heading, and lo
  const writable = mounts.split("\n").map((line) => line.split(" ")).filter(([, path, type, flags]) =>
    type !== "proc" && !path!.startsWith("/dev/") && flags!.split(",").includes("rw")
  ).map(([, path]) => path);
  assert.deepEqual(writable.sort(), ["/app/backups", "/app/data"]);
});

testWith([...needs], "container: migrate, snapshot, verify, drill, wipe and restore work", async () => {
  await using at = await app(notes);
  await at.ends(0, ["migrate"]);
  Deno.mkdirSync(`${at.image.root}/app/data/uploads`);
  Deno.writeTextFileSync(`${at.image.root}/app/data/uploads/cat.txt`, "meow");
  own(at.image);
  const taken = (await at.ends(0, ["snapshot", "--json"])).json.at(-1)!;
  assert.deepEqual([taken.coversDatabase, taken.files], [true, 2]);
  await at.ends(0, ["verify"]);
  await at.ends(0, ["drill"]);
  await at.ends(0, ["wipe", "--confirm", "data"]);
  await at.ends(0, ["restore", String(taken.id), "--confirm", "data"]);
  assert.equal(at.read(count("notes")), 1);
  assert.equal(at.read((database) => database.prepare("select hash from notes").get()!.hash), "7692c3ad");
  assert.equal(Deno.readTextFileSync(`${at.image.root}/app/data/uploads/cat.txt`), "meow");
  await at.ends(0, ["check"]);
  await at.ends(0, ["status", "--max-age", "1h"]);
  await at.ends(0, ["prune", "--keep", "1 last"]);
});

testWith([...needs], "container: 256 MB are enough for 200 MB of data", async () => {
  await using at = await app({
    "0001_large.sql": `pragma journal_mode = wal;
create table large (id integer primary key, body blob);
with recursive n(i) as (select 1 union all select i + 1 from n where i < 100000)
insert into large (body) select randomblob(1000) from n;
`,
  });
  await at.ends(0, ["migrate"]);
  const bytes = new Uint8Array(50 << 20);
  for (let i = 0; i < bytes.length; i += 65_536) crypto.getRandomValues(bytes.subarray(i, i + 65_536));
  for (const name of ["a", "b"]) {
    Deno.writeFileSync(`${at.image.root}/app/data/${name}.bin`, name === "a" ? bytes : bytes.reverse());
  }
  own(at.image);
  await at.ends(0, ["snapshot"]);
  await at.ends(0, ["verify"]);
  await at.ends(0, ["drill"]);
  Deno.writeTextFileSync(`${at.image.root}/app/migrations/0002_gone.sql`, "delete from large where id > 10;\n");
  await at.ends(0, ["migrate"]); // with a safety snapshot
  assert.equal(at.read(count("large")), 10);
  await at.ends(0, ["restore", "latest", "--confirm", "data"]);
  assert.equal(at.read(count("large")), 100_000);
});

testWith([...needs], "container: a repository that may not be written is told as one", async () => {
  await using at = await app(notes);
  await at.ends(0, ["migrate"]);
  const { stderr } = await at.ends(2, ["snapshot"], { AMBER_REPOSITORY: "/app/elsewhere" });
  assert.match(stderr, /"\/app\/elsewhere": Read-only file system/);
});

testWith(["binary", "root", "namespaces"], "the Dockerfile's image holds all that the binary needs", async () => {
  await using image = await buildImage();
  const ends = async (args: string[]) => {
    const result = await inImage(image, args, env);
    assert.equal(result.code, 0, `amber ${args.join(" ")}\n${result.stdout}\n${result.stderr}`);
    return result.stdout;
  };
  assert.match(await ends(["--version"]), /^\d+\.\d+\.\d+\n$/);
  Deno.mkdirSync(`${image.root}/app/migrations`);
  Deno.writeTextFileSync(`${image.root}/app/migrations/0001_notes.sql`, notes["0001_notes.sql"]);
  await ends(["migrate"]);
  assert.match(await ends(["snapshot"]), /^Snapshot [0-9a-f]{10}: 1 file/);
  await ends(["drill"]);
});

/** What tests put beside is the container's user's. */
function own({ root, user }: Image): void {
  const [uid, gid] = user.split(":").map(Number) as [number, number];
  chownAll(`${root}/app/data`, { name: "amber", uid, gid });
}
