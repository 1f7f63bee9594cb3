/** The example in migrations/: what a fresh clone applies with `deno task migrate`. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { projectFolder } from "../support/command.ts";
import { onBoth, type Project } from "./project.ts";

const files = Object.fromEntries(
  [...Deno.readDirSync(join(projectFolder, "migrations"))].filter((entry) => entry.isFile).map(({ name }) => [
    `migrations/${name}`,
    // Beside the project it finds the library's types; here it needs none.
    Deno.readTextFileSync(join(projectFolder, "migrations", name)).replace(
      /^import type .*$/m,
      "type MigrationDatabase = any;",
    ),
  ]),
);
const names = "0001_initial 0002_tags 0003_search 0004_slugs";

const fill = `
  insert into accounts (id, email, name) values (1, 'ada@example.com', 'Ada');
  insert into notes (id, account_id, title, body) values (1, 1, 'Hello, World', 'about difference engines'), (2, 1, 'Ünïcode ☃ 2', '');
`;

/** Titles of the notes that match a word. */
async function search({ engine, sql }: Project, word: string): Promise<unknown[]> {
  const rows = await sql(
    engine === "sqlite"
      ? `select title from notes_search where notes_search match '${word}'`
      : `select title from notes where search @@ to_tsquery('simple', '${word}')`,
  );
  return rows.map((row) => row.title);
}

onBoth("the example applies, searches, and goes back to nothing", files, async (at) => {
  await at.ends(0, ["migrate", "0002"]);
  await at.sql(fill);
  await at.ends(0, ["migrate"]);
  assert.equal(await at.history(), names);
  assert.deepEqual(await at.sql("select slug from notes order by id"), [{ slug: "hello-world-1" }, {
    slug: "u-ni-code-2-2",
  }]);
  assert.deepEqual(await search(at, "engines"), ["Hello, World"]);
  await at.sql("update notes set body = 'loops' where id = 2; delete from notes where id = 1;");
  assert.deepEqual(await search(at, "engines"), []);
  assert.deepEqual(await search(at, "loops"), ["Ünïcode ☃ 2"]);
  await at.ends(0, ["check"]);
  assert.equal((await at.ends(0, ["migrate"])).stdout, "Nothing to do.\n");

  await at.ends(0, ["migrate", "zero"]);
  assert.equal(await at.history(), "");
  assert.doesNotMatch(await at.fingerprint(), /notes|accounts|tags/);
  await at.ends(0, ["migrate"]);
  assert.equal(await at.history(), names);
});

Deno.test("the example has what an example should: a pair for the engines, a way back, code", () => {
  const list = Object.keys(files).map((path) => path.slice("migrations/".length));
  assert.ok(list.some((name) => name.endsWith(".sqlite.sql")) && list.some((name) => name.endsWith(".postgres.sql")));
  assert.ok(list.some((name) => name.endsWith(".ts")));
  assert.match(files["migrations/0001_initial.sql"]!, /^-- migrate:down$/m);
});
