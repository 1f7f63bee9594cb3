/**
 * Does with directory stores what its arguments say, pairs of folder and action, and writes for each one line of JSON:
 * the error. It ends with the exit status of the last one.
 */
import { AmberError } from "../../lib/errors.ts";
import { DirectoryStore } from "../../lib/stores/directory.ts";

let status = 0;
for (let i = 0; i < Deno.args.length; i += 2) {
  const [root, action] = Deno.args.slice(i, i + 2) as [string, string];
  const store = new DirectoryStore(root);
  try {
    if (action === "put") await store.put("packs/aa/new", new Uint8Array(10));
    else if (action === "get") await store.get("packs/aa/one");
    else if (action === "list") await store.list("");
    else if (action === "remove") await store.remove("packs/aa/one");
    else await store.time();
    console.log(JSON.stringify({ action, done: true }));
  } catch (error) {
    if (!(error instanceof AmberError)) throw error;
    status = error.exitStatus;
    const { code, message, where, hint, exitStatus } = error;
    console.log(JSON.stringify({ action, code, message, where, hint, exitStatus }));
  }
}
Deno.exit(status);
