import { DatabaseSync } from "node:sqlite";
import { startPgBouncer } from "../support/pgbouncer.ts";
import { sharedPostgres } from "../support/postgres.ts";
import { schemaFingerprint } from "../support/schema.ts";
import { tempFolder } from "../support/temp_folder.ts";
import { type ContractDatabase, engineContract } from "./contract.ts";

engineContract({ name: "SQLite", needs: [], dialect: "sqlite", isPooled: false, make: () => sqliteFile("delete") });
engineContract({
  name: "SQLite in WAL mode",
  needs: [],
  dialect: "sqlite",
  isPooled: false,
  make: () => sqliteFile("wal"),
});
engineContract({ name: "Postgres", needs: ["postgres"], dialect: "postgres", isPooled: false, make: postgresDatabase });
engineContract({
  name: "Postgres behind PgBouncer",
  needs: ["pgbouncer"],
  dialect: "postgres",
  isPooled: true,
  make: async () => {
    const server = await sharedPostgres();
    const database = await postgresDatabase();
    const bouncer = await startPgBouncer(server, { poolMode: "transaction", poolSize: 10 });
    const name = decodeURIComponent(new URL(database.url).pathname.slice(1));
    return {
      url: bouncer.url(name, { password: "s3cret" }),
      missingUrl: bouncer.url(`${name}_missing`, { password: "s3cret" }),
      state: database.state,
      async [Symbol.asyncDispose]() {
        await bouncer[Symbol.asyncDispose]();
        await database[Symbol.asyncDispose]();
      },
    };
  },
});

async function sqliteFile(mode: "delete" | "wal"): Promise<ContractDatabase> {
  const folder = await tempFolder();
  const path = folder.path("app.db");
  new DatabaseSync(path).exec(`pragma journal_mode = ${mode}; create table made (x); drop table made`);
  return {
    url: `sqlite:${path}`,
    missingUrl: `sqlite:${folder.path("missing.db")}`,
    async state() {
      const lines = [];
      for (const file of await folder.list()) {
        const { size, mtime } = Deno.statSync(folder.path(file));
        lines.push(`${file} ${size} ${mtime?.getTime()}`);
      }
      return lines.join("\n");
    },
    [Symbol.asyncDispose]: () => folder[Symbol.asyncDispose](),
  };
}

async function postgresDatabase(): Promise<ContractDatabase> {
  const server = await sharedPostgres();
  const { name } = await server.database();
  return {
    url: server.url(name, { password: "s3cret" }),
    missingUrl: server.url(`${name}_missing`, { password: "s3cret" }),
    async state() {
      const all = await server.sql("postgres", `select count(*) as n from pg_database where datname like '${name}%'`);
      return JSON.stringify(all) + await schemaFingerprint(server.url(name), { rows: "content" });
    },
    async [Symbol.asyncDispose]() {
      await server.dropDatabase(`${name}_missing`);
      await server.dropDatabase(name);
    },
  };
}
