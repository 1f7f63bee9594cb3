/**
 * A server that commits all the time: `committer.ts DATABASE`. Says each number on stdout once it is committed, until
 * stdin is closed.
 */
import { DatabaseSync } from "node:sqlite";

if (import.meta.main) {
  const database = new DatabaseSync(Deno.args[0]!, { timeout: 10_000 });
  database.exec("pragma synchronous = normal");
  const insert = database.prepare("insert into notes (text) values (?)");
  let isOver = false;
  const input = (async () => {
    for await (const _chunk of Deno.stdin.readable);
    isOver = true;
  })();
  const encoder = new TextEncoder();
  for (let number = 1; !isOver; number++) {
    insert.run(`committed ${number}`);
    Deno.stdout.writeSync(encoder.encode(`${number}\n`));
    await new Promise((resolve) => setTimeout(resolve, 1)); // a server does other things as well
  }
  await input;
  database.close();
}
