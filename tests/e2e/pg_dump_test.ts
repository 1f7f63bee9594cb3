/** What pg_dump writes is a migration: its settings, its COPY blocks, its search_path that is empty. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { command } from "../support/command.ts";
import { startPgBouncer } from "../support/pgbouncer.ts";
import { sharedPostgres } from "../support/postgres.ts";
import { findProgram } from "../support/programs.ts";
import { schemaFingerprint } from "../support/schema.ts";
import { testWith } from "../support/skip.ts";
import { project } from "./project.ts";

const source = `
  create extension if not exists pg_trgm;
  create schema app;
  create type app.mood as enum ('good', 'so ''so', 'bad');
  create domain app.email as text check (value like '%@%');
  create table app.account (id bigint generated always as identity primary key, email app.email not null, mood app.mood default 'good');
  create table public.note (id serial primary key, account bigint references app.account, body text, at timestamptz default now());
  create index note_body on public.note using gin (body gin_trgm_ops);
  create view public.notes as select body, email from public.note join app.account a on a.id = account;
  create materialized view public.counts as select count(*) as n from public.note;
  create function app.touch() returns trigger language plpgsql as $fn$
  begin
    if new.body = 'it''s; $$ here' then raise exception 'no'; end if;
    return new; -- migrate:down
  end $fn$;
  create function app.one(integer default 1) returns integer language sql immutable as 'select $1';
  create procedure app.nothing() language sql as $$ select 1; $$;
  create trigger touched before insert or update on public.note for each row execute function app.touch();
  create table app.part (d date, x int) partition by range (d);
  create table app.part_2026 partition of app.part for values from ('2026-01-01') to ('2027-01-01');
  alter table public.note enable row level security;
  create policy mine on public.note using (body <> '');
  comment on table public.note is 'it''s a note; \\ -- no comment';
  insert into app.account (email) values ('a@x'), ('b''@x');
  insert into public.note (account, body, at) values (1, E'tab\\there, newline\\nthere, back\\\\slash', '2026-01-01 00:00+00'),
    (2, null, '2026-01-01 00:00+00'), (2, '', '2026-01-01 00:00+00'), (1, '\\.', '2026-01-01 00:00+00'), (1, 'ä 漢 😀; drop table x; --', '2026-01-01 00:00+00');
  insert into app.part values ('2026-05-05', 1);
  refresh materialized view public.counts;
`;

const kinds: { name: string; args: string[]; pooled?: boolean }[] = [
  { name: "as it is", args: [] },
  { name: "with INSERTs", args: ["--inserts"] },
  { name: "with a role for the restore", args: ["--role=postgres", "--no-owner"] },
  { name: "through PgBouncer", args: [], pooled: true },
];

for (const { name, args, pooled } of kinds) {
  testWith(
    pooled ? ["pg_dump", "pgbouncer"] : ["pg_dump", "postgres"],
    `pg_dump's output ${name} is a migration`,
    async () => {
      const server = await sharedPostgres();
      await using original = await server.database();
      await original.sql(source);
      const program = findProgram("pg_dump")!;
      const dump = await command(program, [...args, original.url], { cwd: "/" });
      // An older pg_dump refuses a newer server; the one beside the server's own programs fits it.
      const text = dump.code === 0
        ? dump.stdout
        : (await command(join(server.binDir, "pg_dump"), [...args, original.url], { cwd: "/" })).stdout;
      assert.match(text, args.includes("--inserts") ? /INSERT INTO public\.note/ : /COPY public\.note/);

      await using at = await project("postgres", {
        "migrations/0001_dump.sql": text,
        "migrations/0002_next.sql":
          "create table after_it as select current_setting('search_path') as path, current_setting('check_function_bodies') as bodies;",
      });
      await using bouncer = pooled ? await startPgBouncer(server, { poolMode: "transaction", poolSize: 4 }) : undefined;
      const url = at.env.DATABASE_URL!;
      if (bouncer) at.env.DATABASE_URL = bouncer.url(new URL(url).pathname.slice(1));
      await at.ends(0, ["migrate"]);
      assert.deepEqual(await at.sql("select * from public.after_it"), [{ path: '"$user", public', bodies: "on" }]);
      assert.equal(await at.history(), "0001_dump 0002_next");
      await at.sql("drop table after_it");
      assert.equal(
        await schemaFingerprint(url, { rows: "content" }),
        await schemaFingerprint(original.url, { rows: "content" }),
      );
      const next = await at.sql("select nextval('public.note_id_seq') as n");
      assert.deepEqual(next, [{ n: "6" }], "the sequences go on where they were");
      assert.equal((await at.ends(0, ["migrate"])).stdout, "Nothing to do.\n");
      await at.ends(0, ["check"]);
    },
  );
}
