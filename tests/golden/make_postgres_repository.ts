/**
 * Makes `tests/golden/postgres-1`, a small repository of format 1 with a Postgres database in it, once: any later amber must
 * read it, without a server. This starts one.
 *
 *     deno run -A tests/golden/make_postgres_repository.ts
 *
 * It is made again only before a format is released. What is in it is written down in `postgres-1.json`.
 */
import { join } from "node:path";
import { parseDatabaseUrl } from "../../lib/database_url.ts";
import { DirectoryStore } from "../../lib/stores/directory.ts";
import { snapshot } from "../../lib/stories/snapshot.ts";
import { startPostgres } from "../support/postgres.ts";
import { tempFolder } from "../support/temp_folder.ts";
import { contentsOf } from "./contents.ts";

const target = join(import.meta.dirname!, "postgres-1");
await using folder = await tempFolder({ "data/a.txt": "one file\n" });
await using server = await startPostgres();
const name = await server.createDatabase("golden");
await server.sql(
  name,
  `create table notes (id bigserial primary key, body text, at timestamptz);
  insert into notes (body, at) select 'note ' || i || E'\\t\\\\ ä', '2026-11-24 12:00:00+00' from generate_series(1, 3000) i;
  create table "Odd.Name" (); insert into "Odd.Name" default values; create view all_notes as select * from notes;
  select lo_from_bytea(4711, 'a large object'); create index by_body on notes (body);`,
);
await Deno.remove(target, { recursive: true }).catch(() => {});
const take = async () =>
  await snapshot({
    store: new DirectoryStore(target),
    data: folder.path("data"),
    database: parseDatabaseUrl(server.url(name), "golden"),
    scratch: folder.path("scratch"),
    exclude: [],
    by: "golden@example",
    amber: "0.1.0",
    now: () => new Date(),
    report: () => {},
    stop: new AbortController().signal,
  });
await take();
await server.sql(name, "delete from notes where id = 7; update notes set body = 'changed' where id = 2000");
await take();
Deno.writeTextFileSync(`${target}.json`, `${JSON.stringify(await contentsOf(target), null, 2)}\n`);
