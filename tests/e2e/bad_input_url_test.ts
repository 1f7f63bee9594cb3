/**
 * 200 URLs that cannot be read, or that lead nowhere: exit 2 or 5, and not one part of the password is shown.
 *
 * The passwords are made of words that no message of amber's, of Deno's or of a server's has.
 */
import assert from "node:assert/strict";
import { parseDatabaseUrl } from "../../lib/database_url.ts";
import { readConfig } from "../../lib/config.ts";
import { connect } from "../../lib/engines/postgres/connect.ts";
import { AmberError } from "../../lib/errors.ts";
import { Reporter } from "../../lib/output/reporter.ts";
import { redactor } from "../../lib/secrets.ts";
import { amber } from "../support/command.ts";
import { freePort } from "../support/keeper.ts";
import { tempFolder } from "../support/temp_folder.ts";

const words = ["Zqxjkv", "Wubwub", "Fjordkk", "Gyzmox", "Vlczgr", "Quuxly"];
const [a, b, c, d] = words as [string, string, string, string];

/** Passwords with what people paste, each between words of its own. */
const joints = [
  "@",
  "/",
  "?",
  "#",
  "%",
  ":",
  "!",
  "&",
  "=",
  "+",
  " ",
  "$",
  "'",
  '"',
  "\\",
  "`",
  "~",
  "^",
  "|",
  "<",
  ">",
  "[",
  "]",
  "{",
  "}",
  ",",
  ";",
  "%zz",
  "%4",
  "%%",
  "@@",
  "//",
  "?a=",
  "://",
  ":@",
  "/@",
  "@:",
  "#@",
  "ü",
  "😀",
  "%41",
  "%00",
  "\t",
  "\u3000",
];
const passwords = joints.flatMap((
  joint,
) => [`${a}${joint}${b}`, `${a}${joint}${b}${joint}${c}`, `${joint}${a}`, `${a}${joint}`]);

/** What is wrong around the password; `lmzxk.invalid` is a host that nobody knows. */
const shapes: ((password: string, port: number) => string)[] = [
  (p) => `postgres://ada:${p}@lmzxk.invalid:5432/relecloud`,
  (p, port) => `postgres://ada:${p}@127.0.0.1:${port}/relecloud`,
  (p) => `postgres://ada:${p}@`,
  (p) => `postgres://ada:${p}`,
  (p) => `postgres://${p}@lmzxk.invalid/relecloud`,
  (p) => `postgres://${p}`,
  (p) => `postgres:ada:${p}@lmzxk.invalid/relecloud`,
  (p) => `postgres:/ada:${p}@lmzxk.invalid/relecloud`,
  (p) => `ada:${p}@lmzxk.invalid/relecloud`,
  (p) => `postgres://ada:${p}@lmzxk.invalid:54x2/relecloud`,
  (p) => `postgres://ada:${p}@lmzxk.invalid:99999/relecloud`,
  (p) => `postgres://ada:${p}@lmzxk.invalid/relecloud?${p}`,
  (p) => `postgres://ada:${p}@lmzxk.invalid/relecloud?sslmode=${p}`,
  (p) => `postgres://ada:${p}@lmzxk.invalid/`,
  (p) => `postgres://ada:${p}@/relecloud`,
  (p) => `postgres://:${p}@lmzxk.invalid/relecloud`,
  (p) => `mysql://ada:${p}@lmzxk.invalid/relecloud`,
  (p) => `postgres+psycopg://ada:${p}@lmzxk.invalid/relecloud`,
  (p) => `jdbc:postgresql://lmzxk.invalid/relecloud?user=ada&password=${p}`,
  (p) => `"postgres://ada:${p}@lmzxk.invalid/relecloud"`,
  (p) => `postgres://ada:${p}@lmzxk.invalid/relecloud `,
  (p) => `postgres://lmzxk.invalid/relecloud?user=ada&password=${p}&password=${p}`,
  (p) => `sqlite://ada:${p}@lmzxk.invalid/relecloud`,
  (p) => `postgres://ada:${p}@lmzxk.invalid,other.invalid/relecloud`,
  (p) => `host=lmzxk.invalid user=ada password=${p} dbname=relecloud`,
  (p) => `${p}`,
];

/** Parts of a password of more than three characters, as they are and percent-encoded. */
function partsOf(password: string): string[] {
  const parts = new Set<string>();
  for (let at = 0; at + 4 <= password.length; at++) {
    const part = password.slice(at, at + 4);
    // Part of a word of ours; what stands around the words ("://", "%41") may well be in a hint.
    if (!words.some((word) => word.includes(part))) continue;
    parts.add(part).add(encodeURIComponent(part.toWellFormed()));
  }
  return [...parts];
}

/** What people and programs see of an error, with the secrets that the configuration knows taken out. */
async function shown(url: string): Promise<{ text: string; code: string }> {
  const written: string[] = [];
  const streams = { stdout: (text: string) => written.push(text), stderr: (text: string) => written.push(text) };
  let secrets: string[] = [];
  let error: unknown;
  try {
    const config = readConfig({ env: { DATABASE_URL: url }, flags: {} });
    secrets = config.secrets;
    written.push(JSON.stringify(config.settings));
    if (config.database.engine === "sqlite") return { text: written.join(""), code: "" };
    const redact = redactor(secrets);
    await connect(config.database, {
      waitMs: 1,
      create: true,
      stop: new AbortController().signal,
      report: (event) => new Reporter(streams, { json: false, colour: false, redact }).event(event),
      applicationName: "amber",
      hello: "select 1",
    });
  } catch (caught) {
    error = caught;
  }
  assert.ok(error instanceof AmberError, `${error}`);
  for (const json of [true, false]) {
    new Reporter(streams, { json, colour: false, redact: redactor(secrets) }).error(error);
  }
  return { text: written.join(""), code: error.code };
}

Deno.test("URLs: no part of a password is shown, whatever is wrong with the URL", async () => {
  const port = freePort();
  const codes = new Map<string, number>();
  let count = 0;
  for (const [index, password] of passwords.entries()) {
    // Each password in six shapes, all shapes in turn.
    const six = Array.from({ length: 6 }, (_, i) => shapes[(index * 5 + i) % shapes.length]!);
    await Promise.all(six.map(async (shape) => {
      const url = shape(password, port);
      const { text, code } = await shown(url);
      const leaks = partsOf(password).filter((part) => text.includes(part));
      assert.deepEqual(leaks, [], `${JSON.stringify(url)} gave\n${text}`);
      if (code !== "") assert.match(text, /"hint":"/, `${url}\n${text}`);
      codes.set(code, (codes.get(code) ?? 0) + 1);
      count++;
    }));
  }
  assert.ok(count >= 1_000, `${count}`);
  for (const code of ["DATABASE_URL_MALFORMED", "DATABASE_URL_AMBIGUOUS", "DATABASE_SILENT", "CONFIG_INCOMPLETE"]) {
    assert.ok((codes.get(code) ?? 0) > 0, `${code}: ${codes.get(code)}`);
  }
});

Deno.test("URLs: what is malformed is refused with a hint that gives the shape or the escape", () => {
  for (const url of [`postgres://ada:${a}@${b}@h/d@x`, `postgres://ada:${a}/${b}`, `postgres:ada`, `ada@h/d`]) {
    assert.throws(() => parseDatabaseUrl(url, "DATABASE_URL (environment)"), (error: AmberError) => {
      assert.match(error.message, /^Cannot read DATABASE_URL \(environment\): /);
      assert.match(error.hint!, /postgres:\/\/USER:PASSWORD@HOST|Use sqlite:PATH or postgres:/);
      return true;
    });
  }
});

// The real command line, for the likely mistakes: an unescaped "@" or "/" that makes a host of a piece of the password.
const likely: [url: string, exit: number][] = [
  [`postgres://ada:${a}@${b}.invalid/relecloud`, 5],
  [`postgres://ada:${a}@${b}.${c}:5432/relecloud`, 5],
  [`postgres://ada:${a}/${b}@lmzxk.invalid/relecloud`, 5],
  [`postgres://ada:${a}#${b}@lmzxk.invalid/relecloud`, 5],
  [`postgres://ada:${a}?${b}@lmzxk.invalid/relecloud`, 5],
  [`postgres://ada:${a}%${b}@lmzxk.invalid/relecloud`, 5],
  [`postgres://ada:${a}%41${b}@${c}@lmzxk.invalid/relecloud`, 2],
  [`postgres://ada:${a}@${b}@${c}.invalid/${d}`, 5],
  [`postgres://ada:${a}@lmzxk.invalid/${b}@${c}`, 2],
  [`postgres://ada:${a}:${b}@lmzxk.invalid:port/relecloud`, 2],
  [`postgres://ada${a}@${b}.invalid/relecloud`, 5],
  [`psql://ada:${a}@lmzxk.invalid/relecloud`, 2],
  [`postgres://ada:${a}@lmzxk.invalid/relecloud?sslmode=${b}`, 2],
  [`postgres://ada:${a}@lmzxk.invalid/relecloud?pass=${b}`, 2],
];
for (const [index, [url, exit]] of likely.entries()) {
  Deno.test(`URLs: the real command line shows nothing of the password (${index + 1})`, async () => {
    await using folder = await tempFolder({
      "migrations/0001_a.sql": "create table a (x);",
      ".env": `OTHER='${url}'\n`,
    });
    await using inFile = await tempFolder({
      "migrations/0001_a.sql": "create table a (x);",
      ".env": `DATABASE_URL='${url}'\n`,
    });
    const runs = await Promise.all([
      ...[["migrate"], ["migrate", "--json"], ["check"], ["status"], ["status", "--json"]].map((args) =>
        amber([...args, "--wait", "100ms"], { cwd: folder.root, env: { DATABASE_URL: url } })
      ),
      amber(["migrate", "--wait", "100ms"], { cwd: inFile.root }),
      amber(["migrate", "--json", "--wait", "100ms", "-u", url], { cwd: folder.root }),
    ]);
    for (const { code, stdout, stderr } of runs) {
      assert.equal(code, exit, stdout + stderr);
      for (const word of words) {
        for (let at = 0; at + 4 <= word.length; at++) {
          assert.ok(!`${stdout}${stderr}`.includes(word.slice(at, at + 4)), `${url} gave\n${stdout}${stderr}`);
        }
      }
    }
    assert.deepEqual(await folder.list(), [".env", "migrations/0001_a.sql"]);
  });
}
