/** A database that dbmate has migrated, with dbmate from npm, is taken over and goes on from there. */
import assert from "node:assert/strict";
import { dbmate } from "../support/dbmate.ts";
import { onBoth, type Project } from "./project.ts";

const migration = (name: string) =>
  `-- migrate:up\ncreate table ${name} (x integer);\n\n-- migrate:down\ndrop table ${name};\n`;

const first = {
  "db/migrations/20240101000000_a.sql": migration("a"),
  "db/migrations/20240102000000_b.sql": migration("b"),
  "db/migrations/20240103000000_c.sql":
    `-- migrate:up transaction:false\ncreate table c (x integer);\ninsert into c values (1);\n-- migrate:down\n`,
};
const more = {
  "db/migrations/20240104000000_d.sql": migration("d"),
  "db/migrations/20240105000000_e.sql": migration("e"),
};
const names = ["20240101000000_a", "20240102000000_b", "20240103000000_c", "20240104000000_d", "20240105000000_e"];
const here = ["-d", "db/migrations"];

async function runDbmate(at: Project, ...args: string[]) {
  const url = at.engine === "sqlite" ? at.env.DATABASE_URL! : `${at.env.DATABASE_URL}?sslmode=disable`;
  const { code, stderr } = await dbmate(["--no-dump-schema", ...args], {
    cwd: at.folder.root,
    env: { DATABASE_URL: url },
  });
  assert.equal(code, 0, stderr);
}

onBoth("adopt dbmate records what dbmate applied, and migrate applies only the rest", first, async (at) => {
  await runDbmate(at, "up");
  await at.folder.write(more);
  const before = await at.fingerprint("content");
  for (const command of [["migrate"], ["migrate", "--plan"], ["check"]]) {
    const { code, exit, hint, message } = await at.error(...command, ...here);
    assert.deepEqual([code, exit], ["HISTORY_FOREIGN", 4]);
    assert.match(message, /migrated by dbmate \(table "schema_migrations"\)/);
    assert.match(hint, /amber adopt dbmate/);
  }
  assert.equal(await at.history(), "");

  const planned = await at.ends(0, ["adopt", "dbmate", "--plan", ...here]);
  assert.equal(
    planned.stdout,
    names.slice(0, 3).map((name) => `  would adopt  ${name}\n`).join("") +
      "3 would be taken over from dbmate, 2 pending. Nothing was run.\nNext: amber migrate\n",
  );
  assert.equal(await at.history(), "", "a plan writes nothing");

  const { adopted, unknown, pending } = await at.result("adopt", "dbmate", ...here);
  assert.deepEqual([adopted, unknown, pending], [names.slice(0, 3), [], names.slice(3)]);
  assert.equal(await at.history(), names.slice(0, 3).join(" "));
  assert.equal(await at.fingerprint("content"), before, "adopting runs nothing");

  const again = await at.result("adopt", "dbmate", ...here);
  assert.deepEqual([again.adopted, again.pending], [[], names.slice(3)]);

  const { applied } = await at.result("migrate", ...here);
  assert.deepEqual(applied, names.slice(3));
  await at.ends(0, ["check", ...here]);
  assert.equal((await at.ends(0, ["migrate", ...here])).stdout, "Nothing to do.\n");
  // What amber adopted it can also undo.
  await at.ends(0, ["migrate", ...here, "--back", "2"]);
  assert.equal(await at.fingerprint("content"), before);
  // dbmate's own table is left where it is.
  assert.deepEqual(
    (await at.sql("select version from schema_migrations order by 1")).map((row) => row.version),
    names.slice(0, 3).map((name) => name.slice(0, 14)),
  );
}, ["dbmate"]);

onBoth("the schema is the one that dbmate makes of the same files", { ...first, ...more }, async (at) => {
  await runDbmate(at, "up");
  const theirs = await at.fingerprint("content");
  await runDbmate(at, "drop");
  if (at.engine === "postgres") await runDbmate(at, "create");
  await at.ends(0, ["migrate", ...here]);
  assert.equal(await at.fingerprint("content"), theirs);
}, ["dbmate"]);

onBoth(
  "adopt dbmate says what does not fit: the folder, versions without a file, no dbmate at all",
  first,
  async (at) => {
    const none = await at.error("adopt", "dbmate", ...here);
    assert.equal(none.code, at.engine === "sqlite" ? "DATABASE_UNKNOWN" : "HISTORY_FOREIGN");
    await runDbmate(at, "up");
    await at.folder.write({ "other/0001_a.sql": migration("z"), "part/20240102000000_renamed.sql": migration("b") });
    const wrong = await at.error("adopt", "dbmate", "-d", "other");
    assert.deepEqual([wrong.code, wrong.exit], ["HISTORY_FOREIGN", 4]);
    assert.match(wrong.message, /none of its 3 versions has a file in "other"/);
    assert.match(wrong.hint, /--migrations db\/migrations/);
    assert.equal((await at.error("adopt", "dbmate", "-d", "gone")).code, "MIGRATIONS_MISSING");
    assert.equal((await at.error("adopt", "flyway", ...here)).code, "USAGE");
    assert.match((await at.error("adopt", "flyway", ...here)).hint, /--fake NAME/);
    assert.equal(await at.history(), "");

    const { stdout } = await at.ends(0, ["adopt", "dbmate", "-d", "part"]);
    assert.equal(
      stdout,
      "  adopted  20240102000000_renamed\n  left out  20240101000000: there is no file for it\n" +
        "  left out  20240103000000: there is no file for it\n1 taken over from dbmate, 0 pending. Nothing was run.\n",
    );
    assert.equal((await at.ends(0, ["migrate", "-d", "part"])).stdout, "Nothing to do.\n");
  },
  ["dbmate"],
);

onBoth("after amber has taken over, what dbmate applies later can be adopted as well", first, async (at) => {
  await runDbmate(at, "up");
  await at.ends(0, ["adopt", "dbmate", ...here]);
  await at.folder.write(more);
  await runDbmate(at, "up");
  const { adopted } = await at.result("adopt", "dbmate", ...here);
  assert.deepEqual(adopted, names.slice(3));
  assert.equal((await at.ends(0, ["migrate", ...here])).stdout, "Nothing to do.\n");
}, ["dbmate"]);

onBoth("a half-applied dbmate folder: what dbmate had left pending in between is late, not lost", {
  ...first,
  ...more,
}, async (at) => {
  await runDbmate(at, "up");
  await at.sql("delete from schema_migrations where version = '20240104000000'; drop table d;");
  const { adopted, pending } = await at.result("adopt", "dbmate", ...here);
  assert.deepEqual([adopted, pending], [[...names.slice(0, 3), names[4]], [names[3]]]);
  assert.equal((await at.error("migrate", ...here)).code, "MIGRATION_LATE");
  assert.deepEqual((await at.result("migrate", "--allow-late", ...here)).applied, [names[3]]);
}, ["dbmate"]);
