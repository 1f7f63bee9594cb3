/** A process that takes the migration lock, says "held" and keeps it until it is killed. Its arguments: URL, journaled. */
import { parseDatabaseUrl } from "../../lib/database_url.ts";
import { openEngine } from "../../lib/engines/open.ts";

const [url = "", journaled = ""] = Deno.args;
const engine = await openEngine(parseDatabaseUrl(url, "argument"), {
  waitMs: 5_000,
  create: false,
  readOnly: false,
  stop: new AbortController().signal,
  by: "holder@test",
  report: () => {},
});
await engine.lock({ journaled: journaled === "journaled" });
console.log("held");
setInterval(() => {}, 1_000);
