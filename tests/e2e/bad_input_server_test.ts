/** Servers that do not answer, answer nonsense or refuse; databases and rights that are missing. */
import assert from "node:assert/strict";
import { amber } from "../support/command.ts";
import { freePort } from "../support/keeper.ts";
import { type PostgresServer, sharedPostgres, startPostgres } from "../support/postgres.ts";
import { testWith } from "../support/skip.ts";
import { tempFolder } from "../support/temp_folder.ts";
import { type Refusal, refuses } from "./refusal.ts";

const files = { "migrations/0001_a.sql": "create table a (x integer);\n" };
const password = "Qwpoiu7-Zxmnb4";
const secrets = [password, "Qwpoiu7", "Zxmnb4"];

/** By parts and by URL. */
function ways(host: string, port: number, { user = "ada", database = "relecloud" } = {}): Record<string, string>[] {
  return [
    { DB_HOST: host, DB_PORT: String(port), DB_NAME: database, DB_USER: user, DB_PASSWORD: password },
    { DATABASE_URL: `postgres://${user}:${password}@${host}:${port}/${database}` },
  ];
}

/** Both commands, both ways; each within its time. */
async function check(host: string, port: number, expected: Refusal, wait = "600ms", atMostMs = 4_000): Promise<void> {
  await using folder = await tempFolder(files);
  const all = ways(host, port).flatMap((env) => ["migrate", "check", "wait"].map((command) => ({ env, command })));
  await Promise.all(all.map(async ({ env, command }) => {
    const started = performance.now();
    await refuses([command, "--wait", wait], { cwd: folder.root, env }, { ...expected, secrets });
    const each = (performance.now() - started) / 2;
    assert.ok(each < atMostMs, `${command} took ${Math.round(each)} ms`);
  }));
}

const silent = { code: "DATABASE_SILENT", hint: "amber wait" } as const;

Deno.test("server: nobody listens there", async () => {
  await check("127.0.0.1", freePort(), { ...silent, message: "the connection was refused: no server listens there" });
});

Deno.test("server: a name that nobody knows", async () => {
  await check("db.invalid", 5432, { ...silent, message: "its host name is not known", hint: "Check the host's name" });
});

Deno.test("server: an address that no route leads to", async () => {
  await check("10.255.255.1", 5432, {
    ...silent,
    message: /no answer|cannot be reached|refused|not PostgreSQL/,
    hint: /amber wait/,
  });
});

Deno.test("server: no socket in the folder", async () => {
  await using folder = await tempFolder({ ...files, "run/": "" });
  const env = { DB_HOST: folder.path("run"), DB_NAME: "relecloud", DB_USER: "ada" };
  await refuses(["migrate", "--wait", "500ms"], { cwd: folder.root, env }, {
    ...silent,
    message: "there is no socket: no server listens there",
    where: `${folder.path("run")}/relecloud`,
  });
});

/** A server of one's own making; `talk` gets each connection. */
async function fake(
  talk: (connection: Deno.TcpConn) => Promise<void>,
  use: (port: number) => Promise<void>,
): Promise<void> {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const open = new Set<Deno.TcpConn>();
  const serving = (async () => {
    for await (const connection of listener) {
      open.add(connection);
      talk(connection).catch(() => {}); // the other side goes when it has heard enough
    }
  })();
  try {
    await use(listener.addr.port);
  } finally {
    listener.close();
    for (const connection of open) {
      try {
        connection.close();
      } catch {
        // closed by talk
      }
    }
    await serving;
  }
}

const say = async (connection: Deno.TcpConn, text: string | Uint8Array) => {
  await connection.write(typeof text === "string" ? new TextEncoder().encode(text) : text);
};
const hear = (connection: Deno.TcpConn) => connection.read(new Uint8Array(4096));

Deno.test("server: it accepts and says nothing", async () => {
  await fake(
    () => Promise.resolve(),
    (port) => check("127.0.0.1", port, { ...silent, message: "no answer within 1 s" }),
  );
});

Deno.test("server: it speaks no TLS and then says nothing", async () => {
  await fake(async (connection) => {
    await hear(connection);
    await say(connection, "N");
  }, (port) => check("127.0.0.1", port, { ...silent, message: /did not answer|no answer/ }));
});

Deno.test("server: it accepts and closes at once", async () => {
  await fake(
    (connection) => Promise.resolve(connection.close()),
    (port) => check("127.0.0.1", port, { ...silent, message: "the server closed the connection" }),
  );
});

Deno.test("server: it closes after the first word", async () => {
  await fake(async (connection) => {
    await hear(connection);
    await say(connection, "N");
    await hear(connection);
    connection.close();
  }, (port) => check("127.0.0.1", port, { ...silent, message: "the server closed the connection" }));
});

const strange: [what: string, greeting: string | Uint8Array][] = [
  ["HTTP", "HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n"],
  ["SSH", "SSH-2.0-OpenSSH_9.2p1\r\n"],
  ["MySQL", new Uint8Array([0x4a, 0, 0, 0, 0x0a, ...new TextEncoder().encode("8.0.36\0")])],
  ["Redis", "-ERR unknown command\r\n"],
];
for (const [what, greeting] of strange) {
  Deno.test(`server: what listens there speaks ${what}`, async () => {
    await fake(async (connection) => {
      await hear(connection);
      await say(connection, greeting);
      connection.close();
    }, (port) =>
      check("127.0.0.1", port, {
        code: "DATABASE_SILENT",
        message: "what listens there is not PostgreSQL",
        hint: "Check host and port",
      }, "300ms"));
  });
}

Deno.test("server: garbage behind the first word", async () => {
  await fake(async (connection) => {
    await hear(connection);
    await say(connection, "N");
    await hear(connection);
    await say(connection, crypto.getRandomValues(new Uint8Array(200)));
  }, (port) => check("127.0.0.1", port, { ...silent, message: /did not answer|closed|no answer/ }));
});

Deno.test("server: TLS that is none", async () => {
  await fake(async (connection) => {
    await hear(connection);
    await say(connection, "S");
    await hear(connection);
    await say(connection, "this is not TLS, and never was\n");
    // Closing is left to the client: what it had sent and nobody read would make this a reset, and that is another story.
    while (await hear(connection) !== null);
  }, (port) => check("127.0.0.1", port, { code: "DATABASE_REFUSED", message: "TLS", hint: "sslmode" }));
});

testWith("postgres", "server: it is frozen", async () => {
  await using server = await startPostgres();
  server.pause();
  try {
    await check("127.0.0.1", server.port, { ...silent, message: /no answer|did not answer/ });
  } finally {
    server.resume();
  }
});

testWith("postgres", "server: it comes up while it is waited for", async () => {
  await using server = await startPostgres();
  await using folder = await tempFolder(files);
  await server.stop();
  const env = { DATABASE_URL: server.url("postgres") };
  await Promise.all([
    amber(["migrate"], { cwd: folder.root, env }).then(({ code, stdout, stderr }) => {
      assert.equal(code, 0, stderr);
      assert.match(stdout, /1 applied/);
      assert.match(stderr, /waiting for the database .*; 60 s left|waiting for the database .*; 59 s left/);
    }),
    new Promise((resolve) => setTimeout(resolve, 1_500)).then(() => server.start()),
  ]);
  await server.stop();
  await Promise.all([
    amber(["wait"], { cwd: folder.root, env }).then(({ code, stdout }) => {
      assert.equal(code, 0);
      assert.match(stdout, /answers/);
    }),
    new Promise((resolve) => setTimeout(resolve, 1_000)).then(() => server.start()),
  ]);
});

/** A server with passwords, and roles that may do little. */
async function withRoles(use: (server: PostgresServer, run: Run) => Promise<void>): Promise<void> {
  await using server = await startPostgres({ auth: "scram-sha-256" });
  await using folder = await tempFolder(files);
  await server.sql(
    "postgres",
    `create role ada login password '${password}'; create role maker login createdb password '${password}'`,
  );
  const run: Run = async (command, env, expected) => {
    for (const way of Object.keys(env).length > 0 ? [env] : []) {
      await refuses(command, { cwd: folder.root, env: way }, { ...expected, secrets: [...secrets, server.password] });
    }
  };
  await use(server, run);
}
type Run = (command: string[], env: Record<string, string>, expected: Refusal) => Promise<void>;

testWith("postgres", "server: wrong passwords, unknown roles and databases, missing rights", async (t) => {
  await withRoles(async (server, run) => {
    const at = (options: { user?: string; database?: string }) => ways(server.host, server.port, options);
    const commands = [["migrate"], ["check"], ["wait"], ["status"], ["migrate", "--plan"], ["showmigrations"]];

    await t.step("a wrong password fails at once, whatever the wait", async () => {
      for (const env of at({}).map((env) => withPassword(env, "Vbnfgh5!Ytrewq8"))) {
        for (const command of commands) {
          const started = performance.now();
          await run(command, env, {
            code: "DATABASE_REFUSED",
            message: env.DATABASE_URL
              ? "the server refused the user or the password"
              : 'password authentication failed for user "ada"',
            hint: "Check user and password",
            secrets: ["Vbnfgh5", "Ytrewq8"],
          });
          assert.ok(performance.now() - started < 5_000);
        }
      }
    });

    await t.step("a role that does not exist", async () => {
      for (const env of at({ user: "nobody_here" })) {
        await run(["migrate"], env, {
          code: "DATABASE_REFUSED",
          message: /Cannot log in/,
          hint: "Check user and password",
        });
      }
    });

    await t.step("no password", async () => {
      const [parts] = at({});
      delete parts!.DB_PASSWORD;
      await run(["migrate"], parts!, {
        code: "DATABASE_REFUSED",
        message: /Cannot log in/,
        hint: "No password is configured: set DB_PASSWORD",
      });
      const url = { DATABASE_URL: `postgres://ada@127.0.0.1:${server.port}/relecloud` };
      await run(["migrate"], url, {
        code: "DATABASE_REFUSED",
        message: /Cannot log in/,
        hint: "No password is configured",
      });
    });

    await t.step("an unknown database that the role may not create", async () => {
      for (const env of at({})) {
        await run(["migrate"], env, {
          code: "DATABASE_UNKNOWN",
          message: 'Cannot create the database "relecloud", which does not exist: permission denied',
          where: "/relecloud",
          hint: 'create database "relecloud" owner "ada"',
        });
        for (const command of [["check"], ["migrate", "--check"]]) {
          await run(command, env, {
            code: "MIGRATIONS_PENDING",
            message: "1 migration is pending",
            hint: "amber migrate",
          });
        }
      }
      const [found] = await server.sql(
        "postgres",
        "select count(*)::int as n from pg_database where datname = 'relecloud'",
      );
      assert.equal(found!.n, 0);
    });

    await t.step("an unknown database that the role may create", async () => {
      for (const [index, env] of at({ user: "maker", database: 'rele "cloud" 2' }).entries()) {
        const database = `rele_cloud_${index}`;
        const given: Record<string, string> = env.DATABASE_URL
          ? { DATABASE_URL: `postgres://maker:${password}@127.0.0.1:${server.port}/${database}` }
          : { ...env, DB_NAME: database };
        await using folder = await tempFolder(files);
        const planned = await amber(["migrate", "--plan"], { cwd: folder.root, env: given });
        assert.match(planned.stdout, /apply +0001_a/);
        const made = await amber(["migrate"], { cwd: folder.root, env: given });
        assert.equal(made.code, 0, made.stderr);
        assert.match(made.stderr, new RegExp(`created the database "${database}"`));
        assert.deepEqual(await server.sql(database, "select to_regclass('a')::text as a"), [{ a: "a" }]);
      }
    });

    await server.sql("postgres", "create database relecloud");
    await server.sql("relecloud", "revoke create on schema public from public");

    await t.step("no right to create tables in the schema", async () => {
      for (const env of at({})) {
        await run(["migrate"], env, {
          code: "DATABASE_FORBIDDEN",
          message: "Cannot create the history table",
          hint: 'grant create on schema "public" to the role',
        });
        await run(["check"], env, { code: "MIGRATIONS_PENDING", message: "pending", hint: "amber migrate" });
      }
      assert.deepEqual(
        await server.sql("relecloud", "select tablename from pg_tables where schemaname = 'public'"),
        [],
      );
    });

    await t.step("a history that the role may not read", async () => {
      await using folder = await tempFolder(files);
      const superuser = { DATABASE_URL: server.url("relecloud") };
      assert.equal((await amber(["migrate"], { cwd: folder.root, env: superuser })).code, 0);
      for (const env of at({})) {
        for (const command of [["migrate"], ["check"], ["showmigrations"]]) {
          await run(command, env, {
            code: "DATABASE_FORBIDDEN",
            message: "Cannot read the history",
            hint: "grant select on",
          });
        }
      }
      await server.sql("relecloud", "drop table amber_migrations, a");
    });

    await t.step("a table of that name which somebody else made", async () => {
      await server.sql(
        "relecloud",
        "create table amber_migrations (name text); grant select on amber_migrations to ada",
      );
      for (const env of at({})) {
        for (const command of [["migrate"], ["check"], ["showmigrations"]]) {
          await run(command, env, {
            code: "HISTORY_FOREIGN",
            message: 'the table "public".amber_migrations is not as amber makes it',
            hint: "rename that one",
          });
        }
      }
      await server.sql("relecloud", "drop table amber_migrations");
    });

    await t.step("no schema to use", async () => {
      await server.sql("relecloud", "alter role ada in database relecloud set search_path = nowhere");
      for (const env of at({})) {
        for (const command of [["migrate"], ["check"]]) {
          await run(command, env, {
            code: "DATABASE_FORBIDDEN",
            message: "no schema of the search_path",
            hint: "create schema",
          });
        }
      }
      await server.sql("relecloud", "alter role ada in database relecloud reset search_path");
    });

    await t.step("no right to connect", async () => {
      await server.sql("postgres", "revoke connect on database relecloud from public");
      for (const env of at({})) {
        for (const command of [["migrate"], ["check"]]) {
          await run(command, env, {
            code: "DATABASE_REFUSED",
            message: /Cannot open the database: .*(permission denied|42501)/,
            hint: "grant connect on database",
          });
        }
      }
      await server.sql("postgres", "grant connect on database relecloud to public");
    });

    await t.step("a database that takes no connections", async () => {
      for (const env of at({ database: "template0" })) {
        await run(["migrate"], env, { code: "DATABASE_REFUSED", message: "Cannot open the database", hint: /./ });
      }
    });

    await t.step("a role without login", async () => {
      await server.sql("postgres", `create role group_only password '${password}'`);
      for (const env of at({ user: "group_only" })) {
        await run(["migrate"], env, { code: "DATABASE_REFUSED", message: "Cannot log in", hint: /./ });
      }
    });

    await t.step("a password that is no longer valid", async () => {
      await server.sql("postgres", `create role late login password '${password}' valid until '2001-01-01'`);
      for (const env of at({ user: "late" })) {
        await run(["migrate"], env, {
          code: "DATABASE_REFUSED",
          message: "Cannot log in",
          hint: "Check user and password",
        });
      }
    });

    await t.step("no connection left for the role", async () => {
      await server.sql("postgres", `create role busy login password '${password}' connection limit 0`);
      for (const env of at({ user: "busy" })) {
        await run(["migrate", "--wait", "300ms"], env, {
          code: "DATABASE_SILENT",
          message: "the server takes no connections now",
          hint: "amber wait",
        });
      }
    });

    await t.step("a server that only reads", async () => {
      await server.sql(
        "relecloud",
        "grant create on schema public to ada; alter role ada set default_transaction_read_only = on",
      );
      for (const env of at({})) {
        await run(["migrate"], env, {
          code: "DATABASE_FORBIDDEN",
          message: "Cannot create the history table",
          hint: "migrate on the primary",
        });
      }
      await server.sql("relecloud", "alter role ada reset default_transaction_read_only");
    });

    await t.step("in the end it works", async () => {
      await using folder = await tempFolder(files);
      const { code, stderr } = await amber(["migrate"], { cwd: folder.root, env: at({})[0] });
      assert.equal(code, 0, stderr);
    });
  });
});

function withPassword(env: Record<string, string>, other: string): Record<string, string> {
  return env.DATABASE_URL
    ? { DATABASE_URL: env.DATABASE_URL.replace(password, other) }
    : { ...env, DB_PASSWORD: other };
}

testWith("postgres", "status shows everything else before it says that the database does not answer", async () => {
  const server = await sharedPostgres();
  await using folder = await tempFolder(files);
  const env = { DATABASE_URL: `postgres://ada:${password}@127.0.0.1:${freePort()}/relecloud`, AMBER_PRODUCTION: "1" };
  const { code, stdout, stderr } = await amber(["status"], { cwd: folder.root, env });
  assert.equal(code, 5);
  assert.match(
    stdout,
    /production[^]*database +postgres, as DATABASE_URL names it\n +from DATABASE_URL \(environment\)/,
  );
  assert.match(stdout, /migrations +migrations \(default\)/);
  assert.match(stdout, /DATABASE_URL +postgres:\/\/\*\*\* +\(environment\)/);
  assert.match(stderr, /error {2}DATABASE_SILENT/);
  const json = await amber(["status", "--json"], { cwd: folder.root, env });
  assert.deepEqual(json.json.map((line) => line.type), ["result", "error"]);
  assert.equal((json.json[0]!.problem as { code: string }).code, "DATABASE_SILENT");
  for (const secret of secrets) assert.ok(!`${stdout}${stderr}${json.stdout}`.includes(secret));

  await using database = await server.database();
  const good = await amber(["status"], { cwd: folder.root, env: { DATABASE_URL: database.url } });
  assert.equal(good.code, 0);
  assert.match(good.stdout, new RegExp(`database +postgres postgres@127\\.0\\.0\\.1:${server.port}/${database.name}`));
  assert.match(good.stdout, /0 applied, 1 pending/);
});
