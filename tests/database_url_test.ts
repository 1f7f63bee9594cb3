import assert from "node:assert/strict";
import {
  type DatabaseAddress,
  parseDatabaseUrl,
  type PostgresAddress,
  postgresFromParts,
  where,
} from "../lib/database_url.ts";
import { AmberError } from "../lib/errors.ts";

const source = "DATABASE_URL (environment)";
const parse = (url: string): DatabaseAddress => parseDatabaseUrl(url, source);

/** What differs from the address of postgres://ann:pw@db.example/app. */
function checkPostgres(url: string, expected: Partial<PostgresAddress>) {
  const { passwordAsWritten: _, ...address } = parse(url) as PostgresAddress;
  const usual = { engine: "postgres", host: "db.example", port: 5432, database: "app", user: "ann", password: "pw" };
  const all = { ...usual, sslmode: "prefer", fromUrl: true, ...expected };
  assert.deepEqual(JSON.parse(JSON.stringify(address)), JSON.parse(JSON.stringify(all)), url);
}

function checkRefused(url: string, code: string, pattern: RegExp = /./) {
  assert.throws(() => parse(url), (error) => {
    assert.ok(error instanceof AmberError, String(error));
    assert.deepEqual([error.code, error.exitStatus], [code, 2], `${url}: ${error.message}`);
    assert.match(`${error.message} ${error.hint}`, pattern);
    return true;
  }, url);
}

Deno.test("parseDatabaseUrl() reads the paths of SQLite files", () => {
  for (
    const [url, path] of [
      ["sqlite:app.db", "app.db"],
      ["sqlite:data/prod.db", "data/prod.db"],
      ["sqlite:./data/prod.db", "./data/prod.db"],
      ["sqlite:/srv/app.db", "/srv/app.db"],
      ["sqlite:///srv/app.db", "/srv/app.db"],
      ["sqlite:////srv/app.db", "/srv/app.db"],
      ["sqlite://data/prod.db", "data/prod.db"],
      ["sqlite3:app.db", "app.db"],
      ["SQLite:app.db", "app.db"],
      ["file:app.db", "app.db"],
      ["file:///srv/app.db", "/srv/app.db"],
      ["sqlite:my%20data/a%3Fb.db", "my data/a?b.db"],
      ["sqlite:my data/app.db", "my data/app.db"],
      ["sqlite:100%.db", "100%.db"],
      ["sqlite:100%25%zz.db", "100%25%zz.db"],
      ["sqlite:a@b.db", "a@b.db"],
      ["sqlite:app.db\n", "app.db"],
    ] as const
  ) assert.deepEqual(parse(url), { engine: "sqlite", path }, url);
});

Deno.test("parseDatabaseUrl() refuses what is no path of a SQLite file", () => {
  const malformed = "DATABASE_URL_MALFORMED";
  checkRefused("sqlite:", malformed, /names no file/);
  checkRefused("sqlite://", malformed, /names no file/);
  checkRefused("file:", malformed, /names no file/);
  checkRefused("sqlite::memory:", "CONFIG_VALUE", /does not last/);
  checkRefused("sqlite://:memory:", "CONFIG_VALUE");
  checkRefused("sqlite:///:memory:", "CONFIG_VALUE");
  checkRefused("file::memory:", "CONFIG_VALUE");
  checkRefused("sqlite:a%00b.db", malformed);
  checkRefused("sqlite:a\0b.db", malformed);
  checkRefused("sqlite:a\nb.db", malformed);
  checkRefused("sqlite:app.db?mode=ro", malformed, /%3F/);
  checkRefused("sqlite:app.db#x", malformed, /%23/);
  checkRefused("sqlite://ann:pw@db.example/app", malformed, /%40/);
  checkRefused("sqlite:postgres://ann:pw@db.example/app", malformed, /%40/);
  checkRefused("file://server/app.db", malformed, /file:\/\/\/PATH/);
  checkRefused("sqlite: app.db", malformed);
  checkRefused("sqlite:app.db'", malformed, /quotes/);
});

Deno.test("parseDatabaseUrl() reads the URL of the cloud guide as it stands there", () => {
  const guide =
    "postgres://relecloud_admin:VerySecurePassword!1@demo-relecloud.postgres.database.azure.com:5432/relecloud";
  checkPostgres(guide, {
    host: "demo-relecloud.postgres.database.azure.com",
    database: "relecloud",
    user: "relecloud_admin",
    password: "VerySecurePassword!1",
  });
});

Deno.test("parseDatabaseUrl() reads every part of a Postgres URL", () => {
  const none = { password: undefined };
  checkPostgres("postgres://ann:pw@db.example/app", {});
  checkPostgres("postgresql://ann:pw@db.example/app", {});
  checkPostgres("PostgreSQL://ann:pw@db.example/app", {});
  checkPostgres("postgres://ann:pw@db.example/app\n", {});
  checkPostgres("postgres://ann:pw@db.example/app\r\n", {});
  checkPostgres("postgres://ann:pw@db.example/app?", {});
  checkPostgres("postgres://ann@db.example/app", none);
  checkPostgres("postgres://ann:pw@db.example:6432/app", { port: 6432 });
  checkPostgres("postgres://ann:pw@localhost/app", { host: "localhost" });
  checkPostgres("postgres://ann:pw@10.0.0.7/app", { host: "10.0.0.7" });
  checkPostgres("postgres://ann:pw@[::1]:6432/app", { host: "::1", port: 6432 });
  checkPostgres("postgres://ann:pw@[2001:db8::7]/app", { host: "2001:db8::7" });
  checkPostgres("postgres://ann:pw@%2Fvar%2Frun%2Fpostgresql/app", { host: "/var/run/postgresql" });
  checkPostgres("postgres://ann:pw@%2fvar%2frun:6432/app", { host: "/var/run", port: 6432 });
  checkPostgres("postgres://ann@server:pw@db.example/app", { user: "ann@server" }); // Azure's single server
  checkPostgres("postgres://ann%40server:pw@db.example/app", { user: "ann@server" });
  checkPostgres("postgres://ann@server@db.example/app", { user: "ann@server", ...none });
  checkPostgres("postgres://ann:pw@db.example/my%20app%2F1", { database: "my app/1" });
  checkPostgres("postgres://ann:pw@db.example/tür", { database: "tür" });
  checkPostgres("postgres://ann:pw@db.example/app?sslmode=require", { sslmode: "require" });
  checkPostgres("postgres://ann:pw@db.example/app?application_name=a%20b&options=-c%20geqo%3Doff", {
    applicationName: "a b",
    options: "-c geqo=off",
  });
  checkPostgres("postgres://ann:pw@db.example/app?options=-cgeqo=off", { options: "-cgeqo=off" });
  checkPostgres("postgres://ann:pw@db.example/app?sslmode=verify-full&sslrootcert=/etc/ca.pem", {
    sslmode: "verify-full",
    sslrootcert: "/etc/ca.pem",
  });
  checkPostgres("postgres:///app?host=/run/postgresql&user=ann", { host: "/run/postgresql", ...none });
  checkPostgres("postgres://ann@/app?host=%2Frun%2Fpostgresql", { host: "/run/postgresql", ...none });
  checkPostgres("postgres://db.example/app?user=ann&password=pw", {});
  checkPostgres("postgres://db.example/app?user=ann@server&password=p@w", { user: "ann@server", password: "p@w" });
  checkPostgres("postgres://ann:pw@db.example?dbname=app&port=6432", { port: 6432 });
  checkPostgres(
    "postgres://ann:pw@db.example/app?connect_timeout=9&channel_binding=require&pgbouncer=true&keepalives_idle=5" +
      "&target_session_attrs=read-write&gssencmode=disable&tcp_user_timeout=1",
    {},
  );
});

Deno.test("parseDatabaseUrl() refuses a Postgres URL that is not whole, and says which part", () => {
  const malformed = "DATABASE_URL_MALFORMED";
  checkRefused("", malformed, /does not begin with/);
  checkRefused("\n", malformed);
  checkRefused("postgres:", malformed, /"\/\/" is missing/);
  checkRefused("postgres:ann:pw@db.example/app", malformed, /"\/\/" is missing/);
  checkRefused("postgres://", malformed, /no host/);
  checkRefused("postgres://ann:pw@db.example", "CONFIG_INCOMPLETE", /no database/);
  checkRefused("postgres://ann:pw@db.example/", "CONFIG_INCOMPLETE", /no database/);
  checkRefused("postgres://db.example/app", "CONFIG_INCOMPLETE", /no user/);
  checkRefused("postgres://ann:pw@/app", malformed, /no host/);
  checkRefused("postgres://:pw@db.example/app", malformed, /user name is empty/);
  checkRefused("postgres://ann:@db.example/app", "CONFIG_EMPTY", /did not arrive/);
  checkRefused("postgres://db.example/app?user=ann&password=", "CONFIG_EMPTY");
  checkRefused("postgres://ann:pw@db.example:0/app", malformed, /port/);
  checkRefused("postgres://ann:pw@db.example:65536/app", malformed, /port/);
  checkRefused("postgres://ann:pw@db.example:/app", malformed, /port/);
  checkRefused("postgres://ann:pw@db.example:54x/app", malformed, /port/);
  checkRefused("postgres://ann:pw@a.example,b.example/app", malformed, /host/);
  checkRefused("postgres://ann:pw@[::1/app", malformed);
  checkRefused("postgres://ann:pw@[::x]/app", malformed, /host/);
  checkRefused("postgres://ann:pw@db.example/app/x", malformed, /database/);
  checkRefused("postgres://ann:pw@db.example/app#x", malformed, /database/);
  checkRefused("postgres://ann:pw@db.example/app%", malformed, /database/);
  checkRefused("postgres://ann:pw@db.example/a%00b", malformed, /NUL/);
  checkRefused("postgres://ann:p%00w@db.example/app", malformed, /NUL/);
  checkRefused("postgres://ann:p\0w@db.example/app", malformed);
  checkRefused("postgres://ann:p w@db.example/app", malformed, /%20/);
  checkRefused("postgres://ann:p\u00a0w@db.example/app", malformed, /%20/);
  checkRefused(" postgres://ann:pw@db.example/app", malformed, /white space/);
  checkRefused("postgres://ann:pw@db.example/app ", malformed, /white space/);
  checkRefused('"postgres://ann:pw@db.example/app"', malformed, /quotes/);
  checkRefused("'postgres://ann:pw@db.example/app'", malformed, /quotes/);
  checkRefused("“postgres://ann:pw@db.example/app”", malformed, /quotes/);
  checkRefused("postgres://ann:pw@db.example/app'", malformed, /quotes/);
  checkRefused("postgres://ann:pw@db.example/app?sslmode=requre", malformed, /sslmode is none of disable, /);
  checkRefused("postgres://ann:pw@db.example/app?sslmode=", malformed, /sslmode/);
  checkRefused("postgres://ann:pw@db.example/app?ssl=true", malformed, /none of sslmode, application_name/);
  checkRefused("postgres://ann:pw@db.example/app?options=50%", malformed, /%25/);
  checkRefused("postgres://ann:pw@db.example/app?sslmode=require&sslmode=require", malformed, /"sslmode" twice/);
  checkRefused("postgres://ann:pw@db.example/app?password=pw", malformed, /"password" twice/);
  checkRefused("postgres://ann:pw@db.example/app?user=ann", malformed, /"user" twice/);
  checkRefused("postgres://ann:pw@db.example/app?host=b.example", malformed, /"host" twice/);
  checkRefused("postgres://ann:pw@db.example:1/app?port=1", malformed, /"port" twice/);
  checkRefused("postgres://ann:pw@db.example/app?dbname=app", malformed, /"dbname" twice/);
});

Deno.test("parseDatabaseUrl() refuses other schemes, and names the well-known ones", () => {
  const malformed = "DATABASE_URL_MALFORMED";
  for (const scheme of ["mysql", "mariadb", "mongodb", "http", "https", "sqlserver", "redis", "MySQL"]) {
    checkRefused(`${scheme}://ann:pw@db.example/app`, malformed, new RegExp(`"${scheme}" is not supported`, "i"));
  }
  checkRefused("postgresql+psycopg://ann:pw@db.example/app", malformed, /Remove the "\+".*: postgresql:…/);
  checkRefused("postgres+x://ann:pw@db.example/app", malformed, /Remove the "\+"/);
  checkRefused("sqlite+aiosqlite:///app.db", malformed, /Remove the "\+".*: sqlite:…/);
  checkRefused("jdbc:postgresql://db.example/app", malformed, /Remove "jdbc:"/);
  assert.throws(() => parse("zxqwv://ann:pw@db.example/app"), (error) => !String(error).includes("zxqwv"));
});

Deno.test("parseDatabaseUrl() accepts a raw password that can be read in one way, and names the character of one that cannot", () => {
  const ambiguous = "DATABASE_URL_AMBIGUOUS";
  const raw = (password: string) => `postgres://ann:${password}@db.example/app`;
  for (
    const password of ["a!b", "a#b", "a/b", "a?b", "a@b", "a:b", "5432/x", "p@h/db", "@", "a%", "%zz", "100%", "/?#@:"]
  ) {
    checkPostgres(raw(password), { password });
  }
  checkPostgres(raw("a%40b"), { password: "a@b" });
  checkPostgres(raw("a%c3%a4:b!"), { password: "aä:b!" });
  checkRefused(raw("a%40#b"), ambiguous, /raw "#".*"#" is %23/);
  checkRefused(raw("a%41@b"), ambiguous, /raw "@".*"@" is %40/);
  checkRefused(raw("a%41ä"), ambiguous, /raw "ä".*"ä" is %C3%A4/);
  checkRefused(raw("a%41%zz"), ambiguous, /raw "%".*"%" is %25/);
  checkRefused(raw("a%E4b"), ambiguous, /raw "%"/);
  checkRefused("postgres://ann@x%40:pw@db.example/app", ambiguous, /the user in it/);
  checkRefused("postgres://ann:p@h/x?application_name=y@db.example/app", ambiguous, /raw "@".*"@" as %40/);
  checkRefused("postgres://ann:5432/x?user=bob@db.example/app", ambiguous, /more than one way/);
});

Deno.test("postgresFromParts() takes every value as it is", () => {
  const parts = { host: "db.example", name: "app", user: "ann" };
  const strange = postgresFromParts({
    host: "/run/pg@1",
    name: "a%20/?b",
    user: "ann@server:1",
    port: "6432",
    sslmode: "require",
  });
  assert.deepEqual(JSON.parse(JSON.stringify(strange)), {
    ...{ engine: "postgres", host: "/run/pg@1", port: 6432, database: "a%20/?b", user: "ann@server:1" },
    ...{ sslmode: "require", fromUrl: false },
  });
  assert.equal(postgresFromParts({ ...parts, host: "[::1]" }).host, "::1");
  assert.equal(postgresFromParts({ ...parts, host: "::1" }).host, "::1");
});

Deno.test("postgresFromParts() names the variable that cannot be used, and not its value", () => {
  const usual = { host: "db.example", name: "app", user: "ann", password: "Kq7xW2vZ9" };
  for (
    const [change, variable] of [
      [{ port: "Kq7xW" }, "DB_PORT"],
      [{ port: "0" }, "DB_PORT"],
      [{ port: "65536" }, "DB_PORT"],
      [{ port: "5432 " }, "DB_PORT"],
      [{ port: "-1" }, "DB_PORT"],
      [{ sslmode: "Kq7xW" }, "DB_SSLMODE"],
      [{ sslmode: "Require" }, "DB_SSLMODE"],
      [{ host: "db.example:5432" }, "DB_HOST"],
      [{ host: "postgres://ann:Kq7xW2vZ9@db.example/app" }, "DB_HOST"],
      [{ host: "Kq7xW@vZ9" }, "DB_HOST"],
      [{ host: "a.example,b.example" }, "DB_HOST"],
      [{ host: "[::1]:80/[::1]" }, "DB_HOST"],
      [{ host: "" }, "DB_HOST"],
      [{ name: "postgres://ann:Kq7xW2vZ9@db.example/app" }, "DB_NAME"],
      [{ name: "a\0b" }, "DB_NAME"],
      [{ user: "" }, "DB_USER"],
      [{ password: "Kq7x\0W2vZ9" }, "DB_PASSWORD"],
    ] as const
  ) {
    assert.throws(() => postgresFromParts({ ...usual, ...change }, ".env"), (error) => {
      assert.ok(error instanceof AmberError);
      assert.deepEqual([error.code, error.exitStatus], ["CONFIG_VALUE", 2]);
      assert.match(error.message, new RegExp(`^Cannot use ${variable} \\(\\.env\\)`));
      assert.doesNotMatch(`${error.message} ${error.hint}`, /Kq7x|W2vZ|db\.example/);
      return true;
    }, JSON.stringify(change));
  }
});

Deno.test("where() names a server only once it was reached, when its URL may hold pieces of a password", () => {
  const shown = (url: string, reached: boolean) => where(parse(url), { reached });
  assert.equal(shown("sqlite:data/prod.db", false), "data/prod.db");
  assert.equal(shown("postgres://ann:pw@db.example/app", true), "postgres ann@db.example:5432/app");
  assert.equal(shown("postgres://ann:pw@db.example/app", false), "postgres, as DATABASE_URL names it");
  assert.equal(shown("postgres://ann:pw@[::1]/app", true), "postgres ann@[::1]:5432/app");
  assert.equal(shown("postgres://ann@/app?host=/run/postgresql", true), "postgres ann@/run/postgresql/app");
  const parts = postgresFromParts({ host: "db.example", name: "app", user: "ann", password: "pw" });
  assert.equal(where(parts, { reached: false }), "postgres ann@db.example:5432/app");
});
