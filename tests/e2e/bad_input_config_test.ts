/** Variables that are empty, half given, or in two places: a missing secret must not migrate an empty SQLite file. */
import assert from "node:assert/strict";
import { amber } from "../support/command.ts";
import { freePort } from "../support/keeper.ts";
import { tempFolder } from "../support/temp_folder.ts";
import { hides, type Refusal, refuses } from "./refusal.ts";

const files = { "migrations/0001_a.sql": "create table a (x integer);\n" };
const url = "postgres://ada:Qwpoiu7@127.0.0.1:1/relecloud";
const parts = { DB_HOST: "127.0.0.1", DB_PORT: "1", DB_NAME: "relecloud", DB_USER: "ada", DB_PASSWORD: "Qwpoiu7" };

type Case = [title: string, env: Record<string, string>, dotenv: string, expected: Omit<Refusal, "secrets">];

const empty = (variable: string, source: string) =>
  ({
    code: "CONFIG_EMPTY",
    message: `Cannot use ${variable} (${source}): it is set but empty`,
    hint: "a secret that did not arrive",
  }) as const;
const half = (message: string) =>
  ({ code: "CONFIG_INCOMPLETE", message, hint: "DB_HOST, DB_NAME and DB_USER in the same place" }) as const;

const cases: Case[] = [
  ["an empty URL", { DATABASE_URL: "" }, "", empty("DATABASE_URL", "environment")],
  ["a URL of spaces", { DATABASE_URL: "  " }, "", empty("DATABASE_URL", "environment")],
  ["an empty URL in .env", {}, "DATABASE_URL=\n", empty("DATABASE_URL", ".env")],
  ["an empty URL in .env, quoted", {}, 'DATABASE_URL=""\n', empty("DATABASE_URL", ".env")],
  [
    "an empty URL in the environment, a good one in .env",
    { DATABASE_URL: "" },
    `DATABASE_URL=${url}\n`,
    empty("DATABASE_URL", "environment"),
  ],
  ["an empty path", { DB_PATH: "" }, "", empty("DB_PATH", "environment")],
  ["an empty host", { ...parts, DB_HOST: "" }, "", empty("DB_HOST", "environment")],
  ["an empty password", { ...parts, DB_PASSWORD: "" }, "", empty("DB_PASSWORD", "environment")],
  ["an empty port", { ...parts, DB_PORT: "" }, "", empty("DB_PORT", "environment")],
  ["an empty name", { ...parts, DB_NAME: "" }, "", empty("DB_NAME", "environment")],
  ["an empty user in .env", {}, "DB_HOST=db\nDB_NAME=x\nDB_USER=\n", empty("DB_USER", ".env")],
  ["an empty sslmode", { ...parts, DB_SSLMODE: "" }, "", empty("DB_SSLMODE", "environment")],
  ["a host alone", { DB_HOST: "db" }, "", half("from DB_HOST (environment): no DB_NAME, no DB_USER")],
  [
    "a password alone",
    { DB_PASSWORD: "Qwpoiu7" },
    "",
    half("from DB_PASSWORD (environment): no DB_HOST, no DB_NAME, no DB_USER"),
  ],
  ["no user", { DB_HOST: "db", DB_NAME: "x" }, "", half("no DB_USER")],
  [
    "a host in the environment and the rest in .env",
    { DB_HOST: "db" },
    "DB_NAME=x\nDB_USER=ada\nDB_PASSWORD=Qwpoiu7\n",
    half("from DB_HOST (environment)"),
  ],
  [
    "a password in the environment and the rest in .env",
    { DB_PASSWORD: "Qwpoiu7" },
    "DB_HOST=db\nDB_NAME=x\nDB_USER=ada\n",
    half("from DB_PASSWORD (environment)"),
  ],
  [
    "a host in the environment and a URL in .env",
    { DB_HOST: "db" },
    `DATABASE_URL=${url}\n`,
    half("from DB_HOST (environment)"),
  ],
  ["parts in .env, one missing", {}, "DB_HOST=db\nDB_USER=ada\n", half("from DB_HOST, DB_USER (.env): no DB_NAME")],
  ["a path and a host", { DB_PATH: "app.db", DB_HOST: "db" }, "", {
    code: "CONFIG_VALUE",
    message: "DB_HOST are set there too",
    hint: "Keep DB_PATH for SQLite",
  }],
  ["a port that is none", { ...parts, DB_PORT: "54x" }, "", {
    code: "CONFIG_VALUE",
    message: "Cannot use DB_PORT (environment)",
    hint: "Without DB_PORT it is 5432",
  }],
  ["a port that is too large", { ...parts, DB_PORT: "65536" }, "", {
    code: "CONFIG_VALUE",
    message: "from 1 to 65535",
    hint: "Without DB_PORT it is 5432",
  }],
  ["an sslmode that is none", { ...parts, DB_SSLMODE: "on" }, "", {
    code: "CONFIG_VALUE",
    message: "disable, allow, prefer, require, verify-ca, verify-full",
    hint: "require",
  }],
  ["a host with a port in it", { ...parts, DB_HOST: "db:5432" }, "", {
    code: "CONFIG_VALUE",
    message: "DB_HOST",
    hint: "a port goes into DB_PORT",
  }],
  ["a URL as the host", { ...parts, DB_HOST: url }, "", {
    code: "CONFIG_VALUE",
    message: "DB_HOST",
    hint: "a whole URL into DATABASE_URL",
  }],
  ["a URL as the name", { ...parts, DB_NAME: url }, "", {
    code: "CONFIG_VALUE",
    message: "DB_NAME (environment): it holds a URL",
    hint: "DATABASE_URL",
  }],
  ["a line of .env that is none", {}, "DB_HOST=db\nQwpoiu7\n", {
    code: "CONFIG_UNREADABLE",
    message: "it is not NAME=value",
    where: ".env:2",
    hint: "#",
  }],
  ["a quote in .env that is never closed", {}, 'DB_PASSWORD="Qwpoiu7\nDB_HOST=db\n', {
    code: "CONFIG_UNREADABLE",
    message: "is never closed",
    where: ".env:1",
    hint: "Close it",
  }],
  ["text behind a quote in .env", {}, "DB_PASSWORD='Qwpoiu7'zz\n", {
    code: "CONFIG_UNREADABLE",
    message: "more text follows",
    where: ".env:1",
    hint: "quote",
  }],
  ["MySQL", { DATABASE_URL: "mysql://ada:Qwpoiu7@db/x" }, "", {
    code: "DATABASE_URL_MALFORMED",
    message: '"mysql" is not supported',
    hint: "postgres://",
  }],
  ["a URL in quotes", { DATABASE_URL: `"${url}"` }, "", {
    code: "DATABASE_URL_MALFORMED",
    message: "it stands in quotes",
    hint: "Remove the quotes",
  }],
];

for (const [title, env, dotenv, expected] of cases) {
  Deno.test(`config: ${title}`, async () => {
    await using folder = await tempFolder(dotenv === "" ? files : { ...files, ".env": dotenv });
    for (const command of ["migrate", "check", "status"]) {
      await refuses([command], { cwd: folder.root, env }, { ...expected, secrets: ["Qwpoiu7"] });
    }
  });
}

Deno.test("config: the highest place that names the database decides alone", async () => {
  const port = freePort();
  await using folder = await tempFolder({
    ...files,
    ".env": "DB_PATH=from_dotenv.db\n",
    "other.env": "DB_PATH=other.db\n",
  });
  const made = async (args: string[], env: Record<string, string> = {}) => {
    const { code, stderr } = await amber(["migrate", ...args], { cwd: folder.root, env });
    const found = (await folder.list()).filter((path) => path.endsWith(".db"));
    for (const path of found) await Deno.remove(folder.path(path));
    return code === 0 ? found.join() : `${code}: ${stderr}`;
  };
  assert.equal(await made([]), "from_dotenv.db");
  assert.equal(await made([], { DB_PATH: "from_env.db" }), "from_env.db");
  assert.equal(await made([], { DATABASE_URL: "sqlite:from_url.db" }), "from_url.db");
  assert.equal(await made(["-u", "sqlite:from_flag.db"], { DB_PATH: "from_env.db" }), "from_flag.db");
  assert.equal(await made(["--env-file", "other.env"]), "other.db");
  const env = { DB_HOST: "127.0.0.1", DB_PORT: String(port), DB_NAME: "x", DB_USER: "ada", DB_PASSWORD: "Qwpoiu7" };
  assert.match(await made(["--wait", "0"], env), /^5: [^]*postgres ada@127\.0\.0\.1/);
});

Deno.test("config: what one place hides another one may not show", async () => {
  await using folder = await tempFolder({
    ...files,
    ".env": "DATABASE_URL=postgres://ada:Zxmnb4vc@127.0.0.1/relecloud\n",
  });
  const result = await amber(["status"], { cwd: folder.root, env: { DB_PATH: "app.db" } });
  assert.equal(result.code, 0, result.stderr);
  hides(result, ["Zxmnb4vc"]);
});

Deno.test("config: a .env that is a folder, as Docker makes it of a file that is missing", async () => {
  await using folder = await tempFolder({ ...files, ".env/": "" });
  await refuses(["migrate"], { cwd: folder.root }, {
    code: "CONFIG_UNREADABLE",
    message: 'Cannot read the environment file ".env": it is a folder',
    where: ".env",
    hint: "Docker makes a folder",
  });
});
