/** A process that writes until its stdin is closed: `both_writer.ts transfers URL`, or `both_writer.ts both URL SQLITE-FILE`. */
import { DatabaseSync } from "node:sqlite";
import { setTimeout as sleep } from "node:timers/promises";
import postgres from "postgres";

/** Starts one; it is stopped at the end of the scope. `begun` when it has written something. */
export function startWriter(args: string[]): AsyncDisposable & { begun: Promise<void> } {
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "--quiet", "--allow-all", "--no-check", import.meta.filename!, ...args],
    stdin: "piped",
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  const output = child.stdout.getReader();
  return {
    begun: output.read().then(() => {}),
    async [Symbol.asyncDispose]() {
      await child.stdin.close();
      await output.cancel();
      const { code } = await child.status;
      if (code !== 0) throw new Error(`the writer ended with ${code}`);
    },
  };
}

async function transfers(sql: postgres.Sql, isOver: () => boolean): Promise<void> {
  while (!isOver()) {
    const [from, to] = [1 + Math.floor(Math.random() * 20), 1 + Math.floor(Math.random() * 20)];
    await sql.begin(async (sql) => {
      await sql`update account set balance = balance - 1 where id = ${Math.min(from, to)}`;
      await sql`update account set balance = balance + 1 where id = ${Math.max(from, to)}`;
    });
  }
}

/** The write lock of the SQLite database is the app's lock: Postgres commits while it is held. */
async function both(sql: postgres.Sql, file: string, isOver: () => boolean): Promise<void> {
  using sqlite = new DatabaseSync(file, { timeout: 10_000 });
  sqlite.exec("pragma synchronous = normal");
  const insert = sqlite.prepare("insert into moved values (?)");
  for (let id = 1; !isOver(); id++) {
    sqlite.exec("begin immediate");
    insert.run(id);
    await sql`insert into moved values (${id})`;
    sqlite.exec("commit");
    if (id === 1) Deno.stdout.writeSync(new TextEncoder().encode("begun\n"));
    await sleep(1);
  }
}

if (import.meta.main) {
  const [what, url, file] = Deno.args;
  const sql = postgres(url!, { max: 1, onnotice: () => {} });
  let isOver = false;
  const input = (async () => {
    for await (const _chunk of Deno.stdin.readable);
    isOver = true;
  })();
  if (what === "both") await both(sql, file!, () => isOver);
  else await transfers(sql, () => isOver);
  await input;
  await sql.end();
}
