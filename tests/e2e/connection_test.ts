/** The ways to a Postgres: TCP, TLS, a unix socket, PgBouncer; and what must not decide about them: PG* variables. */
import assert from "node:assert/strict";
import { amber } from "../support/command.ts";
import { startPgBouncer } from "../support/pgbouncer.ts";
import { type PostgresServer, sharedPostgres, startPostgres } from "../support/postgres.ts";
import { testWith } from "../support/skip.ts";
import { tempFolder } from "../support/temp_folder.ts";
import { type Refusal, refuses } from "./refusal.ts";

/** A migration that writes down how it was connected. */
const files = {
  "migrations/0001_seen.sql": `create table seen as
    select ssl, version as tls, current_setting('application_name') as name, current_setting('work_mem') as memory,
      current_user::text as role, current_database()::text as database, inet_server_port() as port
    from pg_stat_ssl where pid = pg_backend_pid();`,
};

interface Seen {
  ssl: boolean;
  tls: string | null;
  name: string;
  memory: string;
  role: string;
  database: string;
  port: number | null;
}

/** Migrates a new database over this connection and says how it was. */
async function see(
  server: Pick<PostgresServer, "database">,
  env: (database: string) => Record<string, string>,
  more: { env?: Record<string, string>; dotenv?: string } = {},
): Promise<Seen> {
  await using database = await server.database();
  await using folder = await tempFolder({ ...files, ".env": more.dotenv ?? "" });
  const options = { cwd: folder.root, env: { ...more.env, ...env(database.name) } };
  const { code, stdout, stderr } = await amber(["migrate"], options);
  assert.equal(code, 0, stderr);
  assert.match(stdout, /1 applied/);
  for (const args of [["migrate"], ["check"], ["status"], ["migrate", "--plan"]]) {
    const again = await amber(args, options);
    assert.equal(again.code, 0, `${args}: ${again.stderr}`);
  }
  const [row] = await database.sql("select * from seen");
  return row as unknown as Seen;
}

const url = (
  server: PostgresServer | Awaited<ReturnType<typeof sharedPostgres>>,
  parameters?: Record<string, string>,
  host?: string,
) =>
(database: string) => ({
  DATABASE_URL: server.url(database, { parameters, host }),
});

testWith(["postgres", "openssl"], "TLS: each sslmode on a server that offers it", async () => {
  await using server = await startPostgres({ tls: true });
  const sslrootcert = server.caFile!;
  const ssl = async (parameters: Record<string, string>, host?: string) =>
    (await see(server, url(server, parameters, host))).ssl;
  assert.equal(await ssl({ sslmode: "disable" }), false);
  assert.equal(await ssl({ sslmode: "allow" }), false);
  assert.equal(await ssl({ sslmode: "prefer" }), true);
  assert.equal(await ssl({}), true, "as in libpq, nothing said is prefer");
  assert.equal(await ssl({ sslmode: "require" }), true);
  assert.equal(await ssl({ sslmode: "require", sslrootcert }), true);
  assert.equal(await ssl({ sslmode: "verify-ca", sslrootcert }), true);
  assert.equal(await ssl({ sslmode: "verify-full", sslrootcert }), true);
  assert.equal(await ssl({ sslmode: "verify-full", sslrootcert }, "localhost"), true);
  const parts = (database: string) => ({
    DB_HOST: server.host,
    DB_PORT: String(server.port),
    DB_NAME: database,
    DB_USER: "postgres",
    DB_SSLMODE: "require",
  });
  assert.equal((await see(server, parts)).ssl, true);
});

testWith(["postgres", "openssl"], "TLS: certificates that do not fit are refused, with what to do", async () => {
  await using server = await startPostgres({ tls: true, settings: { listen_addresses: "127.0.0.1,127.0.0.2" } });
  await using other = await startPostgres({ tls: true });
  await using folder = await tempFolder(files);
  const refused = async (parameters: Record<string, string>, expected: Omit<Refusal, "code">, host?: string) => {
    const env = url(server, parameters, host)("postgres");
    const started = performance.now();
    await refuses(["migrate"], { cwd: folder.root, env }, { code: "DATABASE_REFUSED", ...expected });
    assert.ok(performance.now() - started < 10_000, "at once, not after the wait");
  };
  const wrong = { message: /TLS or network: .*(certificate|issuer)/i, hint: "sslrootcert=FILE" };
  await refused({ sslmode: "verify-full" }, wrong);
  await refused({ sslmode: "verify-ca" }, wrong);
  await refused({ sslmode: "verify-ca", sslrootcert: other.caFile! }, wrong);
  await refused({ sslmode: "require", sslrootcert: other.caFile! }, wrong);
  // The certificate is for localhost and 127.0.0.1.
  await refused({ sslmode: "verify-full", sslrootcert: server.caFile! }, {
    message: /TLS or network: .*(name|altname|certificate)/i,
    hint: "a name that is in the server's certificate",
  }, "127.0.0.2");
  const gone = { message: "the file that sslrootcert names cannot be read", hint: "Is the path right" };
  await refused({ sslmode: "verify-full", sslrootcert: "nowhere.crt" }, gone);
});

testWith(["postgres", "openssl"], "TLS: a server that wants it, and one that has none", async () => {
  await using strict = await startPostgres({ tls: "required" });
  await using folder = await tempFolder(files);
  assert.equal((await see(strict, url(strict, { sslmode: "prefer" }))).ssl, true);
  assert.equal((await see(strict, url(strict, { sslmode: "allow" }))).ssl, true);
  await refuses(["migrate"], { cwd: folder.root, env: url(strict, { sslmode: "disable" })("postgres") }, {
    code: "DATABASE_REFUSED",
    message: "pg_hba.conf of the server has no entry for this connection",
    hint: "The server may want TLS: sslmode=require",
  });
  const plain = await sharedPostgres();
  assert.equal((await see(plain, url(plain, { sslmode: "prefer" }))).ssl, false);
  for (const sslmode of ["require", "verify-ca", "verify-full"]) {
    await refuses(["migrate"], { cwd: folder.root, env: url(plain, { sslmode })("postgres") }, {
      code: "DATABASE_REFUSED",
      message: `the server offers no TLS, and sslmode is "${sslmode}"`,
      hint: "Turn TLS on in the server",
    });
  }
});

testWith("postgres", "a unix socket, by its folder and in a URL", async () => {
  const server = await sharedPostgres();
  const folder = encodeURIComponent(server.socketDir);
  const ways: ((database: string) => Record<string, string>)[] = [
    (database) => ({ DB_HOST: server.socketDir, DB_PORT: String(server.port), DB_NAME: database, DB_USER: "postgres" }),
    (database) => ({ DATABASE_URL: `postgres://postgres@${folder}:${server.port}/${database}` }),
    (database) => ({ DATABASE_URL: `postgres://postgres@/${database}?host=${folder}&port=${server.port}` }),
    (database) => ({
      DATABASE_URL: `postgres:///${database}?host=${server.socketDir}&port=${server.port}&user=postgres`,
    }),
    (database) => ({ DATABASE_URL: `postgres://postgres@${folder}:${server.port}/${database}?sslmode=require` }),
  ];
  for (const way of ways) assert.equal((await see(server, way)).port, null, JSON.stringify(way("db")));
});

testWith("postgres", "application_name and options of the URL reach the server", async () => {
  const server = await sharedPostgres();
  for (const options of ["-c%20work_mem=7MB", "-c+work_mem%3D7MB", "-cwork_mem=7MB"]) {
    const seen = await see(server, (database) => ({
      DATABASE_URL: `${server.url(database)}?application_name=relecloud%20web&options=${options}`,
    }));
    assert.equal(seen.memory, "7MB", options);
    assert.match(seen.name, /^relecloud web amber/);
  }
  // A schema of one's own: history and tables are there.
  await using database = await server.database();
  await using folder = await tempFolder(files);
  await database.sql("create schema app");
  const env = { DATABASE_URL: server.url(database.name, { parameters: { options: "-c search_path=app" } }) };
  assert.equal((await amber(["migrate"], { cwd: folder.root, env })).code, 0);
  assert.deepEqual(
    await database.sql("select schemaname, tablename from pg_tables where schemaname in ('app', 'public') order by 2"),
    [{ schemaname: "app", tablename: "amber_migrations" }, { schemaname: "app", tablename: "seen" }],
  );
});

testWith("postgres", "strange names of users and databases", async () => {
  const server = await sharedPostgres();
  const user = `Ada "O'Hara" @ ${crypto.randomUUID()}`;
  const quoted = `"${user.replaceAll('"', '""')}"`;
  await server.sql("postgres", `create role ${quoted} login createdb`);
  const database = `rele cloud "1/2" ü? ${crypto.randomUUID()}`;
  try {
    await using folder = await tempFolder(files);
    const parts = { DB_HOST: server.host, DB_PORT: String(server.port), DB_NAME: database, DB_USER: user };
    const made = await amber(["migrate"], { cwd: folder.root, env: parts });
    assert.equal(made.code, 0, made.stderr);
    const again = await amber(["check"], { cwd: folder.root, env: { DATABASE_URL: server.url(database, { user }) } });
    assert.equal(again.code, 0, again.stderr);
    const [seen] = await server.sql(database, "select role, database from seen");
    assert.deepEqual(seen, { role: user, database });
  } finally {
    await server.dropDatabase(database);
    await server.sql("postgres", `drop role ${quoted}`);
  }
});

testWith("pgbouncer", "PgBouncer in transaction mode", async () => {
  const server = await sharedPostgres();
  await using bouncer = await startPgBouncer(server, { poolMode: "transaction", poolSize: 3 });
  const seen = await see(server, (database) => ({ DATABASE_URL: bouncer.url(database) }));
  assert.equal(seen.role, "postgres");
  const socket = await see(server, (database) => ({
    DB_HOST: bouncer.socketDir,
    DB_PORT: String(bouncer.port),
    DB_NAME: database,
    DB_USER: "postgres",
  }));
  assert.equal(socket.role, "postgres");
});

testWith("pgbouncer", "PgBouncer with passwords: right, wrong, and to a database that does not exist", async () => {
  await using server = await startPostgres({ auth: "scram-sha-256" });
  await server.sql("postgres", "create role ada login createdb password 'zqBouncer!1'");
  await using bouncer = await startPgBouncer(server, {
    poolMode: "transaction",
    users: { ada: "zqBouncer!1" },
    settings: { server_login_retry: "1" },
  });
  await using folder = await tempFolder({ "migrations/0001_a.sql": "create table a (x integer);" });
  const secrets = ["zqBouncer", "zqWrongOne"];
  const at = (database: string, password: string) => ({
    DATABASE_URL: bouncer.url(database, { user: "ada", password }),
  });
  await refuses(["migrate"], { cwd: folder.root, env: at("postgres", "zqWrongOne!1") }, {
    code: "DATABASE_REFUSED",
    message: "Cannot log in",
    hint: "Check user and password",
    secrets,
  });
  await refuses(["migrate"], {
    cwd: folder.root,
    env: { DATABASE_URL: bouncer.url("postgres", { user: "eve", password: "zqWrongOne!1" }) },
  }, {
    code: "DATABASE_REFUSED",
    message: "Cannot log in",
    hint: "Check user and password",
    secrets,
  });
  const { code, stderr } = await amber(["migrate"], { cwd: folder.root, env: at("relecloud", "zqBouncer!1") });
  assert.equal(code, 0, stderr);
  assert.match(stderr, /created the database "relecloud"/);
});

testWith("pgbouncer", "PgBouncer whose server is down is waited for", async () => {
  await using server = await startPostgres();
  await using bouncer = await startPgBouncer(server, {
    poolMode: "transaction",
    settings: { server_login_retry: "1" },
  });
  await server.stop();
  await using folder = await tempFolder(files);
  const env = { DATABASE_URL: bouncer.url("postgres") };
  await refuses(["migrate", "--wait", "1s"], { cwd: folder.root, env }, {
    code: "DATABASE_SILENT",
    message: /takes no connections now|no answer/,
    hint: "amber wait",
  });
  await Promise.all([
    amber(["migrate"], { cwd: folder.root, env }).then(({ code, stderr }) => assert.equal(code, 0, stderr)),
    server.start(),
  ]);
});

testWith("postgres", "PG* variables of the environment decide nothing", async () => {
  const server = await sharedPostgres();
  const misleading = {
    PGHOST: "db.invalid",
    PGHOSTADDR: "10.255.255.1",
    PGPORT: "1",
    PGDATABASE: "elsewhere",
    PGUSER: "nobody_here",
    PGUSERNAME: "nobody_here",
    PGPASSWORD: "Wubwub",
    PGPASSFILE: "/nowhere",
    PGSERVICE: "nowhere",
    PGOPTIONS: "-c work_mem=9MB",
    PGAPPNAME: "misleading",
    PGSSLMODE: "verify-full",
    PGSSL: "verify-full",
    PGSSLROOTCERT: "/nowhere",
    PGTARGETSESSIONATTRS: "any",
    PGCONNECT_TIMEOUT: "0",
    PGIDLE_TIMEOUT: "0",
    PGMAX_LIFETIME: "0",
    PGMAX: "9",
    PGCLIENTENCODING: "LATIN1",
    PGTZ: "Asia/Tokyo",
  };
  const parts = (database: string) => ({
    DB_HOST: server.host,
    DB_PORT: String(server.port),
    DB_NAME: database,
    DB_USER: "postgres",
  });
  for (const way of [url(server), parts]) {
    const plain = await see(server, way);
    const misled = await see(server, way, { env: misleading });
    const same = { database: "", name: "" }; // each database has a name and a lock of its own
    assert.deepEqual({ ...misled, ...same }, { ...plain, ...same });
    assert.match(misled.name, /^amber/);
    assert.equal(misled.role, "postgres");
  }
  // Alone they name no database at all.
  await using folder = await tempFolder({ "migrations/0001_a.sql": "create table a (x integer);" });
  const { code, stderr } = await amber(["migrate"], { cwd: folder.root, env: misleading });
  assert.equal(code, 0, stderr);
  assert.match(stderr, /sqlite local\.db/);
});

testWith("postgres", "a password from PGPASSWORD is not taken", async () => {
  await using server = await startPostgres({ auth: "scram-sha-256" });
  await using folder = await tempFolder(files);
  const env = {
    DATABASE_URL: `postgres://postgres@${server.host}:${server.port}/postgres`,
    PGPASSWORD: server.password,
  };
  await refuses(["migrate"], { cwd: folder.root, env }, {
    code: "DATABASE_REFUSED",
    message: "Cannot log in",
    hint: "No password is configured: set DB_PASSWORD",
    secrets: [server.password],
  });
});
