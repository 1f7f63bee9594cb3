import assert from "node:assert/strict";
import { type Config, type ConfigInput, readConfig } from "../lib/config.ts";
import { type PostgresAddress, where } from "../lib/database_url.ts";
import { parseDotenv } from "../lib/dotenv.ts";
import { AmberError } from "../lib/errors.ts";
import { redactor } from "../lib/secrets.ts";

type Env = Record<string, string>;

const parts = { DB_HOST: "db.example", DB_NAME: "app", DB_USER: "ann" };
const url = "postgres://ann:pw@db.example/app";

const dotenv = (values: Env) => new Map(Object.entries(values));
const read = (env: Env, rest: Partial<ConfigInput> = {}): Config => readConfig({ env, flags: {}, ...rest });

function checkRefused(input: Partial<ConfigInput>, code: string, message: RegExp) {
  assert.throws(() => read({}, input), (error) => {
    assert.ok(error instanceof AmberError, String(error));
    assert.deepEqual([error.code, error.exitStatus], [code, 2], error.message);
    assert.match(error.message, message);
    return true;
  });
}

Deno.test("readConfig() without anything uses local.db, and data/prod.db in production", () => {
  const { database, databaseSource, production, data, migrations, snapshotBeforeMigrate, waitMs } = read({});
  assert.deepEqual(database, { engine: "sqlite", path: "local.db" });
  assert.deepEqual(databaseSource, { source: "default", variable: "DB_PATH" });
  assert.equal(production, false);
  assert.deepEqual(data, { value: "data", source: "default" });
  assert.deepEqual(migrations, { value: "migrations", source: "default" });
  assert.deepEqual(snapshotBeforeMigrate, { value: "risky", source: "default" });
  assert.equal(waitMs, undefined);
  for (
    const [env, path] of [
      [{ PLASH_PRODUCTION: "1" }, "data/prod.db"],
      [{ AMBER_PRODUCTION: "1" }, "data/prod.db"],
      [{ AMBER_PRODUCTION: "yes", AMBER_DATA: "/srv/data/" }, "/srv/data/prod.db"],
      [{ PLASH_PRODUCTION: "0" }, "local.db"],
      [{ AMBER_PRODUCTION: "0", AMBER_DATA: "/srv/data" }, "local.db"],
    ] as [Env, string][]
  ) assert.deepEqual(read(env).database, { engine: "sqlite", path }, JSON.stringify(env));
});

Deno.test("readConfig() is in production when a variable says so, or when the Postgres is on another machine", () => {
  for (
    const [env, production] of [
      [{ PLASH_PRODUCTION: "1" }, true],
      [{ AMBER_PRODUCTION: "false" }, true], // set and not 0
      [{ AMBER_PRODUCTION: "0" }, false],
      [{ AMBER_PRODUCTION: "0", PLASH_PRODUCTION: "1" }, true],
      [{ DB_PATH: "x.db" }, false],
      [{ DB_PATH: "x.db", PLASH_PRODUCTION: "1" }, true],
      [{ DATABASE_URL: url }, true],
      [{ DATABASE_URL: url, AMBER_PRODUCTION: "0" }, false],
      [{ DATABASE_URL: url, PLASH_PRODUCTION: "0" }, true],
      [{ ...parts, DB_HOST: "10.0.0.7" }, true],
      [{ ...parts, DB_HOST: "127.example.com" }, true],
      [{ ...parts, DB_HOST: "localhost.example.com" }, true],
      [{ ...parts, DB_HOST: "localhost" }, false],
      [{ ...parts, DB_HOST: "db.localhost" }, false],
      [{ ...parts, DB_HOST: "127.0.0.1" }, false],
      [{ ...parts, DB_HOST: "127.8.9.1" }, false],
      [{ ...parts, DB_HOST: "::1" }, false],
      [{ ...parts, DB_HOST: "/run/postgresql" }, false],
      [{ ...parts, DB_HOST: "localhost", AMBER_PRODUCTION: "1" }, true],
    ] as [Env, boolean][]
  ) assert.equal(read(env).production, production, JSON.stringify(env));
});

Deno.test("readConfig() keeps snapshots, scratch and cache in the data folder unless told otherwise", () => {
  const { repository, exclude, keep, scratch, cache, pingUrl } = read({});
  assert.deepEqual(repository, { value: "data/backups", source: "default" });
  assert.deepEqual(exclude, { value: [], source: "default" });
  assert.deepEqual(scratch, { value: "data/.amber", source: "default" });
  assert.deepEqual(cache, { value: "data/.amber/cache", source: "default" });
  assert.deepEqual([keep, pingUrl], [undefined, undefined]);
  const paths = (env: Env, rest: Partial<ConfigInput> = {}) => {
    const { repository, scratch, cache } = read(env, rest);
    return [repository.value, scratch.value, cache.value];
  };
  const moved = ["/srv/data/backups", "/srv/data/.amber", "/srv/data/.amber/cache"];
  assert.deepEqual(paths({ AMBER_DATA: "/srv/data/" }), moved);
  assert.deepEqual(paths({}, { flags: { data: "/srv/data" } }), moved);
  assert.deepEqual(paths({ AMBER_DATA: "/" }), ["/backups", "/.amber", "/.amber/cache"]);
  assert.deepEqual(paths({ AMBER_SCRATCH: "tmp/" }), ["data/backups", "tmp/", "tmp/cache"]);
  assert.deepEqual(paths({ AMBER_CACHE: "c", AMBER_REPOSITORY: "../b" }), ["../b", "data/.amber", "c"]);
});

Deno.test("readConfig() reads what snapshots need from flag, environment and .env", () => {
  const file = { AMBER_REPOSITORY: "c", AMBER_KEEP: "3 last", AMBER_PING_URL: "https://hc.example/abc" };
  const rest = { dotenv: dotenv(file) };
  assert.deepEqual(read({}, rest).repository, { value: "c", source: ".env" });
  assert.deepEqual(read({ AMBER_REPOSITORY: "b" }, rest).repository, { value: "b", source: "environment" });
  const flags = { repository: "a", keep: "5 last" };
  assert.deepEqual(read({ AMBER_REPOSITORY: "b" }, { ...rest, flags }).repository.value, "a");
  assert.deepEqual(read({}, rest).keep, { value: "3 last", source: ".env" });
  assert.deepEqual(read({}, { ...rest, flags }).keep, { value: "5 last", source: "--keep" });
  assert.deepEqual(read({}, rest).pingUrl, { value: "https://hc.example/abc", source: ".env" });
  assert.equal(read({ AMBER_PING_URL: " HTTP://hc.example/x?y=1\n" }).pingUrl?.value, "HTTP://hc.example/x?y=1");
});

Deno.test("readConfig() takes patterns one a line, and those of --exclude as well", () => {
  const check = (env: Env, rest: Partial<ConfigInput>, value: string[], source: string) =>
    assert.deepEqual(read(env, rest).exclude, { value, source });
  check({ AMBER_EXCLUDE: "cache/" }, {}, ["cache/"], "environment");
  check({ AMBER_EXCLUDE: "\n cache/ \r\n\n*.tmp\n#x\n" }, {}, ["cache/", "*.tmp", "#x"], "environment");
  check({}, { dotenv: dotenv({ AMBER_EXCLUDE: "a\na b" }) }, ["a", "a b"], ".env");
  check({ AMBER_EXCLUDE: "a" }, { dotenv: dotenv({ AMBER_EXCLUDE: "b" }) }, ["a"], "environment");
  check({}, { flags: { exclude: [] } }, [], "default");
  check({}, { flags: { exclude: ["a", "{b,c}"] } }, ["a", "{b,c}"], "--exclude");
  check({ AMBER_EXCLUDE: "a\nb" }, { flags: { exclude: ["c", "a"] } }, ["a", "b", "c"], "environment, --exclude");
});

Deno.test("readConfig() prefers a flag to the environment, that to .env, and that to the default", () => {
  const rest = { dotenv: dotenv({ AMBER_MIGRATIONS: "c", AMBER_DATA: "c", AMBER_SNAPSHOT_BEFORE_MIGRATE: "always" }) };
  const all = read({ AMBER_MIGRATIONS: "b", AMBER_DATA: "b" }, { ...rest, flags: { migrations: "a", wait: "30s" } });
  assert.deepEqual(all.migrations, { value: "a", source: "--migrations" });
  assert.deepEqual(all.data, { value: "b", source: "environment" });
  assert.deepEqual(all.snapshotBeforeMigrate, { value: "always", source: ".env" });
  assert.equal(all.waitMs, 30_000);
  assert.deepEqual(read({}, { ...rest, dotenvFile: "conf/.env" }).data, { value: "c", source: "conf/.env" });
  assert.deepEqual(read({}, { flags: { data: "a", snapshot: "never" } }).data, { value: "a", source: "--data" });
  assert.equal(read({}, { dotenv: dotenv({ PLASH_PRODUCTION: "1" }) }).production, true);
  assert.equal(read({ PLASH_PRODUCTION: "0" }, { dotenv: dotenv({ PLASH_PRODUCTION: "1" }) }).production, false);
});

Deno.test("readConfig() lets the highest level that names a database decide alone", () => {
  const check = (env: Env, rest: Partial<ConfigInput>, expected: string, source: string) => {
    const { database, databaseSource } = read(env, rest);
    assert.equal(where(database, { reached: true }), expected);
    assert.equal(`${databaseSource.variable} ${databaseSource.source}`, source);
  };
  const file = { dotenv: dotenv({ DATABASE_URL: "sqlite:file.db" }) };
  check({ DATABASE_URL: url }, {}, "postgres ann@db.example:5432/app", "DATABASE_URL environment");
  check(parts, {}, "postgres ann@db.example:5432/app", "DB_HOST environment");
  check({ DB_PATH: "x.db" }, {}, "x.db", "DB_PATH environment");
  check({}, file, "file.db", "DATABASE_URL .env");
  check(parts, file, "postgres ann@db.example:5432/app", "DB_HOST environment");
  check({ DB_PATH: "x.db" }, file, "x.db", "DB_PATH environment");
  check({ DB_ENGINE: "postgres", DB: "x", AMBER_DATA: "d" }, file, "file.db", "DATABASE_URL .env");
  check(parts, { flags: { url: "sqlite:flag.db" } }, "flag.db", "DATABASE_URL --url");
  check({ DB_PASSWORD: "" }, { flags: { url: "sqlite:flag.db" } }, "flag.db", "DATABASE_URL --url");
  check({ ...parts, DATABASE_URL: "sqlite:x.db" }, {}, "x.db", "DATABASE_URL environment");
  check({ DB_PATH: "y.db", DATABASE_URL: "sqlite:x.db" }, {}, "x.db", "DATABASE_URL environment");
  check({}, { dotenv: dotenv({ ...parts, DB_PORT: "6432" }) }, "postgres ann@db.example:6432/app", "DB_HOST .env");
  check({ DB_PATH: "a%20b?c#d.db" }, {}, "a%20b?c#d.db", "DB_PATH environment");
});

Deno.test("readConfig() refuses what is set but empty, in the level that decides", () => {
  const empty = "CONFIG_EMPTY";
  for (const name of ["DATABASE_URL", ...Object.keys(parts), "DB_PORT", "DB_PASSWORD", "DB_SSLMODE", "DB_PATH"]) {
    checkRefused({ env: { [name]: "" } }, empty, new RegExp(`${name} \\(environment\\): it is set but empty`));
    checkRefused({ env: { ...parts, [name]: "" } }, empty, new RegExp(name));
    checkRefused({ env: { DATABASE_URL: url, [name]: "" } }, empty, new RegExp(name));
    checkRefused({ dotenv: dotenv({ [name]: "" }) }, empty, new RegExp(`${name} \\(\\.env\\)`));
    assert.doesNotThrow(() => read({ DATABASE_URL: url }, { dotenv: dotenv({ [name]: "" }) }), name);
  }
  const others = ["PRODUCTION", "DATA", "MIGRATIONS", "EXCLUDE", "REPOSITORY", "KEEP", "SCRATCH", "CACHE", "PING_URL"];
  for (const name of ["PLASH_PRODUCTION", ...others.map((other) => `AMBER_${other}`)]) {
    checkRefused({ env: { [name]: "" } }, empty, new RegExp(name));
    checkRefused({ env: { [name]: " \n" } }, empty, new RegExp(name));
    const value = name === "AMBER_PING_URL" ? "http://hc.example" : "1";
    assert.doesNotThrow(() => read({ [name]: value }, { dotenv: dotenv({ [name]: "" }) }), name);
  }
  checkRefused({ flags: { exclude: [""] } }, empty, /^Cannot use --exclude: it is set but empty$/);
  checkRefused({ flags: { exclude: ["*.tmp", " "] } }, empty, /^Cannot use --exclude: /);
  checkRefused({ env: { AMBER_EXCLUDE: "" }, flags: { exclude: ["a"] } }, empty, /AMBER_EXCLUDE \(environment\)/);
  checkRefused({ flags: { url: "" } }, empty, /^Cannot use --url: it is set but empty$/);
  checkRefused({ flags: { migrations: "" } }, empty, /^Cannot use --migrations: /);
  checkRefused({ env: { DATABASE_URL: "\n" } }, empty, /DATABASE_URL/);
  assert.equal((read({ ...parts, DB_PASSWORD: "   " }).database as PostgresAddress).password, "   ");
});

Deno.test("readConfig() refuses parts that do not make a whole", () => {
  const incomplete = "CONFIG_INCOMPLETE";
  const { DB_HOST, DB_NAME, DB_USER } = parts;
  checkRefused({ env: { DB_HOST } }, incomplete, /DB_HOST \(environment\): no DB_NAME, no DB_USER$/);
  checkRefused({ env: { DB_HOST, DB_NAME } }, incomplete, /no DB_USER$/);
  checkRefused({ env: { DB_NAME, DB_USER } }, incomplete, /: no DB_HOST$/);
  checkRefused({ env: { DB_PASSWORD: "pw" } }, incomplete, /no DB_HOST, no DB_NAME, no DB_USER$/);
  checkRefused({ env: { DB_SSLMODE: "require" } }, incomplete, /no DB_HOST/);
  checkRefused({ env: { DB_PORT: "5432" } }, incomplete, /no DB_HOST/);
  checkRefused({ env: { DB_PASSWORD: "pw" }, dotenv: dotenv(parts) }, incomplete, /no DB_HOST/); // never from two places
  checkRefused({ dotenv: dotenv({ DB_HOST }) }, incomplete, /\(\.env\)/);
});

Deno.test("readConfig() refuses values that cannot be meant", () => {
  checkRefused({ env: { DB_PATH: "x.db", DB_HOST: "h" } }, "CONFIG_VALUE", /DB_PATH .*: DB_HOST are set there too/);
  checkRefused({ env: { DB_PATH: "x.db", DB_PASSWORD: "pw" } }, "CONFIG_VALUE", /DB_PASSWORD/);
  checkRefused({ env: { DB_PATH: ":memory:" } }, "CONFIG_VALUE", /:memory:/);
  checkRefused({ env: { DB_PATH: "a\0b" } }, "CONFIG_VALUE", /NUL/);
  checkRefused({ env: { DB_PATH: url } }, "CONFIG_VALUE", /^Cannot use DB_PATH \(environment\): it holds a URL$/);
  checkRefused({ env: { ...parts, DB_PORT: "x" } }, "CONFIG_VALUE", /DB_PORT \(environment\)/);
  checkRefused({ dotenv: dotenv({ ...parts, DB_SSLMODE: "x" }) }, "CONFIG_VALUE", /DB_SSLMODE \(\.env\)/);
  checkRefused({ env: { AMBER_SNAPSHOT_BEFORE_MIGRATE: "sometimes" } }, "CONFIG_VALUE", /never, risky, always/);
  checkRefused({ flags: { snapshot: "sometimes" } }, "CONFIG_VALUE", /^Cannot use --snapshot: /);
  checkRefused({ env: { AMBER_EXCLUDE: "*.tmp\n[a" } }, "CONFIG_VALUE", /the exclude pattern "\[a": its bracket/);
  checkRefused({ flags: { exclude: ["../x"] } }, "CONFIG_VALUE", /the exclude pattern "\.\.\/x"/);
  checkRefused(
    { env: { AMBER_DATA: "/d", AMBER_EXCLUDE: "/d/x" } },
    "CONFIG_VALUE",
    /relative to the data folder "\/d"/,
  );
  for (const ping of ["hc.example/s3cret", "ftp://hc.example/s3cret", "https:s3cret", "http://", "http://a b/s3cret"]) {
    checkRefused(
      { env: { AMBER_PING_URL: ping } },
      "CONFIG_VALUE",
      /^Cannot use AMBER_PING_URL \(environment\): it is no http:\/\/ or https:\/\/ address$/,
    );
  }
  checkRefused({ flags: { wait: "soon" } }, "USAGE", /"soon"/);
  checkRefused({ flags: { url: "mysql://h/db" } }, "DATABASE_URL_MALFORMED", /^Cannot read --url: "mysql"/);
});

Deno.test("readConfig() lists every setting with its source, and no secret", () => {
  const show = (config: Config) =>
    config.settings.filter(({ shown, source }) => shown !== "" || source !== "default")
      .map(({ variable, shown, source }) => `${variable} = ${shown} <- ${source}`);
  const migrations = "AMBER_MIGRATIONS = migrations <- default";
  const others = (data: string) => [
    `AMBER_REPOSITORY = ${data}/backups <- default`,
    `AMBER_SCRATCH = ${data}/.amber <- default`,
    `AMBER_CACHE = ${data}/.amber/cache <- default`,
    "AMBER_SNAPSHOT_BEFORE_MIGRATE = risky <- default",
  ];
  assert.deepEqual(show(read({})), [
    "DB_PATH = local.db <- default",
    "AMBER_DATA = data <- default",
    migrations,
    ...others("data"),
  ]);
  assert.deepEqual(show(read({ ...parts, DB_PASSWORD: "pw", PLASH_PRODUCTION: "1" }, { flags: { data: "d" } })), [
    "DB_HOST = db.example <- environment",
    "DB_PORT = 5432 <- default",
    "DB_NAME = app <- environment",
    "DB_USER = ann <- environment",
    "DB_PASSWORD = *** <- environment",
    "DB_SSLMODE = prefer <- default",
    "PLASH_PRODUCTION = 1 <- environment",
    ...["AMBER_DATA = d <- --data", migrations, ...others("d")],
  ]);
  const snapshots = {
    AMBER_EXCLUDE: "*.tmp\n\n cache/\n",
    AMBER_REPOSITORY: "/backups",
    AMBER_KEEP: "plash",
    AMBER_SCRATCH: "/tmp/amber",
    AMBER_PING_URL: "https://hc.example/s3cret",
  };
  assert.deepEqual(show(read(snapshots)).slice(1), [
    "AMBER_DATA = data <- default",
    "AMBER_EXCLUDE = *.tmp, cache/ <- environment",
    migrations,
    "AMBER_REPOSITORY = /backups <- environment",
    "AMBER_KEEP = plash <- environment",
    "AMBER_SCRATCH = /tmp/amber <- environment",
    "AMBER_CACHE = /tmp/amber/cache <- default",
    "AMBER_SNAPSHOT_BEFORE_MIGRATE = risky <- default",
    "AMBER_PING_URL = *** <- environment",
  ]);
  assert.ok(
    show(read({ AMBER_REPOSITORY: "s3://key:se/cret@host/b" })).includes("AMBER_REPOSITORY = *** <- environment"),
  );
  const lower = { ...parts, DB_HOST: url, DB_PASSWORD: "pw", DB_PATH: "x.db" }; // unread, so a pasted secret stays hidden
  assert.deepEqual(show(read({ DATABASE_URL: url }, { dotenv: dotenv(lower) })).slice(0, 6), [
    "DATABASE_URL = postgres://*** <- environment",
    "DB_HOST = (not used) <- .env",
    "DB_NAME = (not used) <- .env",
    "DB_USER = (not used) <- .env",
    "DB_PASSWORD = (not used) <- .env",
    "DB_PATH = (not used) <- .env",
  ]);
  assert.deepEqual(show(read({}, { flags: { url: "sqlite:x.db" } }))[0], "DATABASE_URL = sqlite:x.db <- --url");
  assert.equal(read({}).settings.length, 19);
});

Deno.test("readConfig() knows every form of every secret, and is frozen", () => {
  const used = `postgres://ann:p%c3%a4ss%2Fw%6Frd@db.example/app`;
  const { secrets } = read({ DATABASE_URL: used }, { dotenv: dotenv({ DB_PASSWORD: "old@secret" }) });
  assert.deepEqual(
    new Set(secrets),
    new Set([used, "päss/word", "p%c3%a4ss%2Fw%6Frd", "p%C3%A4ss%2Fword", "old@secret", "old%40secret"]),
  );
  assert.deepEqual(read({ DATABASE_URL: "sqlite:x.db", AMBER_REPOSITORY: "s3://bucket/a@b" }).secrets, []);
  const ping = { AMBER_PING_URL: "https://HC.example/ä?create=1" };
  const beaten = { AMBER_PING_URL: "https://hc.example/old\n", AMBER_REPOSITORY: "s3://key:se/cret@host/b" };
  assert.deepEqual(
    new Set(read(ping, { dotenv: dotenv(beaten) }).secrets),
    new Set([
      "https://HC.example/ä?create=1",
      "https://hc.example/%C3%A4?create=1",
      "https://hc.example/%C3%A4",
      "https://hc.example/old",
      "s3://key:se/cret@host/b",
    ]),
  );
  const redact = redactor(secrets);
  assert.equal(redact(`${used} päss/word p%C3%A4ss%2Fword`), "*** *** ***");
  const config = read(parts) as { production: boolean; data: { value: string }; settings: unknown[] };
  assert.throws(() => config.production = false, TypeError);
  assert.throws(() => config.data.value = "x", TypeError);
  assert.throws(() => config.settings.pop(), TypeError);
});

/** The worst that a password generator, a person or a cloud can think of. */
const nastyPasswords = [
  ..."!#%/?@:$&'\"\\`~ ;,+=<>[]{}|^*()".split("").map((character) => `a${character}b`),
  ..."!#%/?@:$&'\"\\`~ ".split(""),
  "Päßwörtchen",
  "пароль-密码",
  "🔑🔒",
  " leading",
  "trailing ",
  "%41",
  "%zz",
  "%",
  "%%",
  "%4",
  "100%41%",
  "a%40#b",
  "a%40%zz",
  "a%FFb",
  "5432/x",
  "5432/x?user=bob",
  "5432",
  "p@db.example/app",
  "p@db.example:5432/app?sslmode=require",
  "p@db.example/app?application_name=x",
  "//",
  "://",
  "postgres://x:y@z/w",
  "@@@",
  "a#@b/c?d:e",
  "?sslmode=disable",
  "&password=x",
  "#comment",
  "a #comment",
  "$HOME",
  "${HOME}",
  "$(id)",
  "'quoted'",
  '"quoted"',
  'it\'s "all" `three`',
  "back\\slash\\n",
  "[::1]",
  "<script>",
  "tab\there",
  "line\nend",
  "\u00a0nbsp",
  "VerySecurePassword!1",
];

Deno.test("A password arrives unchanged when it is percent-encoded, in DB_PASSWORD or quoted in .env", () => {
  const check = (config: Config, password: string) => {
    const { host, user, database, ...rest } = config.database as PostgresAddress;
    assert.deepEqual([host, user, database, rest.password], ["db.example", "ann", "app", password]);
    if (password.length < 3) return;
    assert.equal(redactor(config.secrets)(`FATAL: ${password}`), "FATAL: ***");
  };
  for (const password of nastyPasswords) {
    const everyByte = [...new TextEncoder().encode(password)].map((byte) => `%${byte.toString(16).padStart(2, "0")}`);
    for (const written of [encodeURIComponent(password), everyByte.join("")]) {
      check(read({ DATABASE_URL: `postgres://ann:${written}@db.example/app` }), password);
      check(read({ DATABASE_URL: `postgres://db.example/app?user=ann&password=${written}` }), password);
    }
    check(read({ ...parts, DB_PASSWORD: password }), password);
    const quote = ["'", "`", '"'].find((quote) => !password.includes(quote)) ?? ""; // with all three: as it is
    const file = `DB_HOST=db.example\nDB_PASSWORD=${quote}${password}${quote}\nDB_NAME=app\nDB_USER=ann\n`;
    check(read({}, { dotenv: parseDotenv(file, ".env") }), password);
  }
});

Deno.test("A raw password in a URL is never read as another one, unless it is percent-encoded as it stands", () => {
  const counts = { same: 0, refused: 0, decoded: 0 };
  for (const password of nastyPasswords) {
    for (const rest of ["@db.example/app", "@db.example:5432/app", "@[::1]/app?sslmode=require&application_name=x"]) {
      let address;
      try {
        address = read({ DATABASE_URL: `postgres://ann:${password}${rest}` }).database as PostgresAddress;
      } catch (error) {
        assert.ok(error instanceof AmberError && error.exitStatus === 2, password);
        counts.refused++;
        continue;
      }
      assert.deepEqual([address.user, address.database], ["ann", "app"], password);
      assert.match(address.host, /^(db\.example|::1)$/);
      if (address.password === password) {
        counts.same++;
      } else {
        assert.match(password, /^([\w.~!$&'()*+,;=:-]|%[0-9A-F]{2})+$/i);
        assert.equal(address.password, decodeURIComponent(password));
        counts.decoded++;
      }
    }
  }
  assert.ok(counts.same > 100 && counts.decoded === 3, JSON.stringify(counts)); // decoded: "%41"
});

Deno.test("No piece of a password shows, however a URL was damaged", () => {
  const passwords = [
    ..."!#%/?@:$&".split("").map((character) => `Kq7xW${character}2vZ9mT`),
    ...[
      "Kq7x@W2vZ/9mTb",
      "5432/Kq7xW2vZ",
      "Kq7x%40#W2vZ",
      "Kq7x?W2vZ=9mTb&Lp3",
      "@Kq7xW:2vZ9",
      "Kq7xW2vZ9",
      "ÄKq7ö€W2vZ",
    ],
  ];
  let errors = 0;
  for (const password of passwords) {
    for (const written of new Set([password, encodeURIComponent(password)])) {
      const pieces = [password, encodeURIComponent(password)].flatMap((text) =>
        Array.from({ length: text.length - 3 }, (_, i) => text.slice(i, i + 4))
      ).filter((piece) => piece !== "5432"); // a port that the hint of DB_PORT may well name
      for (
        const url of damage([
          "postgres",
          ":",
          "//",
          "ann",
          ":",
          written,
          "@",
          "db.example",
          ":",
          "5432",
          "/",
          "app",
          "?",
          "sslmode=require",
        ])
      ) {
        const text = outcome(url);
        if (text.startsWith("{")) errors++;
        for (const piece of pieces) assert.ok(!text.includes(piece), `${JSON.stringify(url)} shows ${piece}: ${text}`);
      }
    }
  }
  assert.ok(errors > 200, `${errors}`);
});

/** Every URL that lacks one of the tokens, has one twice, or has one elsewhere. */
function damage(tokens: string[]): Set<string> {
  const urls = new Set<string>();
  tokens.forEach((token, index) => {
    const without = tokens.toSpliced(index, 1);
    urls.add(without.join(""));
    for (let to = 0; to <= without.length; to++) {
      urls.add(without.toSpliced(to, 0, token).join(""));
      urls.add(tokens.toSpliced(to, 0, token).join(""));
    }
    for (const character of ["@", "/", ":", "?", "#", "%", " ", "'", "\n", "["]) {
      urls.add(tokens.toSpliced(index, 0, character).join(""));
    }
  });
  return urls;
}

/** All that a person gets to see before the server is reached. */
function outcome(url: string): string {
  try {
    const { database, settings, production } = readConfig({ env: { DATABASE_URL: url }, flags: {} });
    return where(database, { reached: false }) + JSON.stringify([settings, production]);
  } catch (error) {
    if (!(error instanceof AmberError)) throw error;
    assert.equal(error.exitStatus, 2);
    assert.equal(error.cause, undefined);
    const { message, where, hint, detail } = error;
    return JSON.stringify({ message, where, hint, detail });
  }
}
