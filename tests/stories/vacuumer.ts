/**
 * A program that keeps a database (its argument) moving: rows go and come, and between two transactions the whole file is
 * vacuumed, its page size and auto_vacuum among it where its journal allows that. In each transaction the sum over `n` is 0
 * again. It says a line after each round, and ends with stdin.
 */
import { DatabaseSync } from "node:sqlite";

const database = new DatabaseSync(Deno.args[0]!, { timeout: 10_000 });
database.exec("pragma synchronous = off; create table if not exists t (id integer primary key, n integer, body blob)");
let isEnded = false;
(async () => {
  for await (const _ of Deno.stdin.readable);
  isEnded = true;
})();

for (let round = 0; !isEnded; round++) {
  database.exec(`begin immediate;
    delete from t where id % 3 = ${round % 3};
    with recursive i (n) as (select 1 union all select n + 1 from i where n < 150)
    insert into t (n, body) select n, randomblob(300) from i;
    insert into t (n) select -sum(n) from t;
    commit`);
  const pageSize = 512 << (round % 8);
  try {
    database.exec(`pragma page_size = ${pageSize}; pragma auto_vacuum = ${round % 3}; vacuum`);
  } catch (error) {
    if (!/locked|busy/.test((error as Error).message)) throw error;
  }
  console.log("round");
  await new Promise((resolve) => setTimeout(resolve, 0)); // lets stdin in
}
database.close();
