/** Passwords that people have: each must work however it is given, or be refused with the character and its escape. */
import assert from "node:assert/strict";
import { amber, type CommandResult } from "../support/command.ts";
import { type PostgresServer, startPostgres } from "../support/postgres.ts";
import { testWith } from "../support/skip.ts";
import { type TempFolder, tempFolder } from "../support/temp_folder.ts";
import { hides } from "./refusal.ts";

/** The cloud guide's own, and nasty ones. */
const passwords = [
  "VerySecurePassword!1",
  "zq!#%/?@:$&'\"\\ `~qz",
  "  zqspaces before and after  ",
  "%41zqbc",
  "zq%zz100%",
  "83719284650",
  "zqümläut-ß-é",
  "zq😀🔑kxvq",
  "zq\u3000ideo\u00a0graphic",
  "zqﬁ-Å-①-ｆｕｌｌ",
  "zqﬁ😀", // the emoji is newer than SASLprep, so that the server leaves all of it as it is
  "zqsoft\u00adhyphen",
  "zqאב①ab", // both directions: SASLprep does not apply either
  "#zqfirst",
  "zqla#st#",
  "zq # spaced",
  "zqp@ss@word",
  "zqa/b/c",
  "zqa?b=c&d",
  "zqa:b:c",
  "'zqsingle'",
  '"zqdouble"',
  "zqback\\slash\\n",
  "$HOME ${HOME} $(zqid)",
  "`zqtick`",
  "~zqtilde",
  "zq=equals=",
  "://@:zq",
  "zqtab\tbed",
  "zq" + "x1!".repeat(80),
];

const role = (index: number) => `role_${index}`;

testWith("postgres", "passwords: by parts, by .env and by URL, with scram-sha-256", async (t) => {
  await using server = await startPostgres({ auth: "scram-sha-256" });
  await makeRoles(server);
  await using folder = await tempFolder({ "migrations/0001_a.sql": "select 1;" });
  let raw = 0;
  for (const [index, password] of passwords.entries()) {
    await t.step(JSON.stringify(password.slice(0, 30)), async () => {
      const parts = { DB_HOST: server.host, DB_PORT: String(server.port), DB_NAME: "postgres", DB_USER: role(index) };
      const at = (secret: string) => `postgres://${role(index)}:${secret}@${server.host}:${server.port}/postgres`;
      connects(await wait(folder, { ...parts, DB_PASSWORD: password }), "parts", password);
      connects(await wait(folder, { DATABASE_URL: at(encodeURIComponent(password)) }), "encoded URL", password);
      // In a query, as JDBC and some clouds write it.
      const query = `postgres://${server.host}:${server.port}/postgres?user=${role(index)}&password=`;
      connects(await wait(folder, { DATABASE_URL: query + encodeURIComponent(password) }), "query", password);

      for (const [how, value] of dotenvForms(password)) {
        const lines = Object.entries(parts).map(([name, part]) => `${name}=${part}\n`).join("");
        await using other = await tempFolder({ ".env": `${lines}DB_PASSWORD=${value}\n# the end\n` });
        connects(await wait(other, {}), `.env ${how}`, password);
        if (how !== "bare") continue;
        await other.write({ ".env": `DB_PASSWORD=${value}\r\n${lines.replaceAll("\n", "\r\n")}` });
        connects(await wait(other, {}), `.env ${how}, CRLF`, password);
      }

      const pasted = await wait(folder, { DATABASE_URL: at(password) });
      hides(pasted, [password]);
      if (pasted.code === 0) raw++;
      else refusedWithEscape(pasted, password);
      if (index === 0) assert.equal(pasted.code, 0, "the guide's own URL");
    });
  }
  await t.step(
    "most can be pasted into a URL as they are",
    () => assert.ok(raw >= 18, `${raw} of ${passwords.length}`),
  );
});

testWith("postgres", "passwords: the guide's own migrates, by its URL and by its four variables", async () => {
  await using server = await startPostgres({ auth: "scram-sha-256" });
  await server.sql("postgres", "create role relecloud_admin login createdb password 'VerySecurePassword!1'");
  const { host, port } = server;
  const url = `postgres://relecloud_admin:VerySecurePassword!1@${host}:${port}/relecloud`;
  const parts = { DB_HOST: host, DB_PORT: String(port), DB_NAME: "relecloud", DB_USER: "relecloud_admin" };
  const env = Object.entries(parts).map(([name, value]) => `${name}=${value}\n`).join("");
  const files = { "migrations/0001_a.sql": "create table a (x integer);" };
  for (
    const [given, dotenv] of [
      [{ DATABASE_URL: url }, ""],
      [{ ...parts, DB_PASSWORD: "VerySecurePassword!1" }, ""],
      [{}, `DATABASE_URL=${url}\n`],
      [{}, `${env}DB_PASSWORD=VerySecurePassword!1\n`],
    ] as [Record<string, string>, string][]
  ) {
    await using folder = await tempFolder({ ...files, ".env": dotenv });
    const first = await amber(["migrate"], { cwd: folder.root, env: given });
    assert.equal(first.code, 0, first.stderr);
    assert.match(first.stderr, /created the database "relecloud"/);
    assert.match((await amber(["migrate"], { cwd: folder.root, env: given })).stdout, /Nothing to do/);
    const status = await amber(["status"], { cwd: folder.root, env: given });
    assert.equal(status.code, 0, status.stderr);
    hides(status, ["VerySecurePassword"]);
    hides(first, ["VerySecurePassword"]);
    await server.dropDatabase("relecloud");
  }
});

testWith("postgres", "passwords: of a user whose name has an @, as Azure has them", async () => {
  await using server = await startPostgres({ auth: "scram-sha-256" });
  await server.sql("postgres", `create role "ada@demo" login password 'zq!1:x'`);
  await using folder = await tempFolder();
  const at = (login: string) => ({ DATABASE_URL: `postgres://${login}@${server.host}:${server.port}/postgres` });
  connects(await wait(folder, at("ada%40demo:zq!1:x")), "encoded", "zq!1:x");
  connects(await wait(folder, at("ada@demo:zq!1:x")), "raw", "zq!1:x");
  const parts = { DB_HOST: server.host, DB_PORT: String(server.port), DB_NAME: "postgres" };
  connects(await wait(folder, { ...parts, DB_USER: "ada@demo", DB_PASSWORD: "zq!1:x" }), "parts", "zq!1:x");
});

testWith("postgres", "passwords: with md5, which old servers have", async () => {
  await using rules = await tempFolder({
    "hba.conf": "local all all trust\nhost all postgres 127.0.0.1/32 trust\nhost all all 127.0.0.1/32 md5\n",
  });
  await Deno.chmod(rules.root, 0o755);
  await using server = await startPostgres({
    version: 17, // 18 still has it and warns
    settings: { password_encryption: "md5", hba_file: rules.path("hba.conf") },
  });
  await makeRoles(server);
  await using folder = await tempFolder();
  const [found] = await server.sql("postgres", `select rolpassword from pg_authid where rolname = '${role(0)}'`);
  assert.match(String(found!.rolpassword), /^md5/);
  const failed: string[] = [];
  for (const [index, password] of passwords.entries()) {
    const parts = { DB_HOST: server.host, DB_PORT: String(server.port), DB_NAME: "postgres", DB_USER: role(index) };
    const result = await wait(folder, { ...parts, DB_PASSWORD: password });
    hides(result, [password]);
    if (result.code !== 0) failed.push(`${password}: ${result.stdout}`);
  }
  assert.deepEqual(failed, []);
});

async function makeRoles(server: PostgresServer): Promise<void> {
  const quoted = passwords.map((password) => `E'${password.replaceAll("\\", "\\\\").replaceAll("'", "\\'")}'`);
  await server.sql(
    "postgres",
    quoted.map((text, index) => `create role ${role(index)} login password ${text};`).join("\n"),
  );
}

function wait(folder: TempFolder, env: Record<string, string>): Promise<CommandResult> {
  return amber(["wait", "--wait", "0", "--json"], { cwd: folder.root, env });
}

function connects(result: CommandResult, how: string, password: string): void {
  assert.equal(result.code, 0, `by ${how}: ${password}\n${result.stdout}${result.stderr}`);
  hides(result, [password]);
}

/** How a value can be written into a .env file: in quotes that it does not hold, and bare where that means the same. */
function dotenvForms(value: string): [how: string, text: string][] {
  const forms: [string, string][] = [];
  if (!value.includes("'")) forms.push(["in single quotes", `'${value}'`]);
  if (!value.includes('"') && !value.includes("\\")) forms.push(["in double quotes", `"${value}"`]);
  if (!value.includes("`")) forms.push(["in backticks", `\`${value}\``]);
  if (!/^[\s'"`]|\s$|[ \t]#/.test(value)) forms.push(["bare", value]);
  return forms;
}

/** A URL that can be read in more than one way, or only as another password: exit 2, a character and its escape. */
function refusedWithEscape({ code, json, stdout }: CommandResult, password: string): void {
  const error = json.at(-1) as Record<string, string>;
  assert.equal(code, 2, stdout);
  // "%41" in a URL is "A" for everybody: the server then refuses that password.
  const codes = /%[0-9A-Fa-f]{2}/.test(password)
    ? ["DATABASE_URL_AMBIGUOUS", "DATABASE_URL_MALFORMED", "DATABASE_REFUSED"]
    : ["DATABASE_URL_AMBIGUOUS", "DATABASE_URL_MALFORMED"];
  assert.ok(codes.includes(error.code!), stdout);
  const named = [...`${error.message} ${error.hint}`.matchAll(/%([0-9A-F]{2})/g)].map((match) => match[1]!);
  const inside = named.filter((hex) =>
    password.includes(String.fromCharCode(parseInt(hex, 16))) || password.includes("\u3000")
  );
  assert.ok(inside.length > 0 || /white space|cannot be printed|quotes/.test(error.message!), stdout);
}
