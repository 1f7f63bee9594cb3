/**
 * A process of its own, since other tests run in ours: copies a table of 200 MB from one session to another, and says
 * how many rows and bytes that were, and by how many bytes its memory grew after the first 20 MB. `copy_memory.ts URL`
 */
import { parseDatabaseUrl, type PostgresAddress } from "../../../lib/database_url.ts";
import { Connection } from "../../../lib/engines/postgres/connection.ts";
import { Garbage } from "../../../lib/memory.ts";
import { manyRows } from "./copy_database.ts";

if (import.meta.main) {
  const address = parseDatabaseUrl(Deno.args[0]!, "test") as PostgresAddress;
  const connect = async () =>
    (await Connection.open(address, { applicationName: "test copy", timeoutMs: 5_000 })).connection;
  const [from, into] = [await connect(), await connect()];
  await from.query("create unlogged table target (i int, t text)");
  let largest = 0;
  let early = 0;
  let size = 0;
  const garbage = new Garbage(4 << 20); // V8 alone lets more wait than what is looked for here
  const rows = async function* () {
    for await (const chunk of from.copyOut(`copy (${manyRows} union all ${manyRows}) to stdout`)) {
      size += chunk.length;
      garbage.add(chunk.length);
      if (Math.floor(size / 2_000_000) !== Math.floor((size - chunk.length) / 2_000_000)) {
        const { rss } = Deno.memoryUsage();
        if (size < 20_000_000) early = Math.max(early, rss);
        largest = Math.max(largest, rss);
      }
      yield chunk;
    }
  };
  const count = await into.copyIn("copy target from stdin", rows());
  await from.close();
  await into.close();
  console.log(JSON.stringify({ count, size, grown: largest - early }));
}
