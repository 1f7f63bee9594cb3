/**
 * Takes a snapshot and kills itself: `killed_snapshot.ts FOLDER before:K | after:K | partial:K | none [OPTIONS]`. `before`
 * and `after` count the calls of the store, `partial` the traces that it leaves; then it dies when it wants to store the
 * next pack. OPTIONS: of the snapshot, as JSON.
 */
import { DirectoryStore } from "../../lib/stores/directory.ts";
import type { ObjectStore, Range } from "../../lib/stores/store.ts";
import { appIn } from "../support/restoring.ts";
import { takeSnapshot } from "../support/taking.ts";

const [root, when, options = "{}"] = Deno.args as [string, string, string?];
const app = appIn(root, { database: `${root}/data/app.db` });
const [kind, text] = when.split(":") as [string, string?];
const wanted = Number(text);
let calls = 0;
let partials = 0;

/** A store that kills the process at its K-th call, before or after it is done. */
class Deadly implements ObjectStore {
  readonly where: string;
  constructor(private readonly inner: ObjectStore) {
    this.where = inner.where;
  }
  get = (name: string, range?: Range) => this.#step(name, () => this.inner.get(name, range));
  put = (name: string, bytes: Uint8Array) => this.#step(name, () => this.inner.put(name, bytes), true);
  list = (prefix: string) => this.#step(prefix, () => this.inner.list(prefix));
  remove = (name: string) => this.#step(name, () => this.inner.remove(name));
  time = () => this.#step("", () => this.inner.time());
  tidy = () => this.#step("", () => this.inner.tidy());

  async #step<T>(name: string, call: () => Promise<T>, isPut = false): Promise<T> {
    const number = ++calls;
    if (kind === "before" && number === wanted) await die();
    if (kind === "partial" && partials === wanted && isPut && name.startsWith("packs/")) await die();
    const result = await call();
    if (kind === "after" && number === wanted) await die();
    if (isPut && name.startsWith("snapshots/")) partials++;
    return result;
  }
}

async function die(): Promise<never> {
  Deno.kill(Deno.pid, "SIGKILL");
  return await new Promise(() => {});
}

await takeSnapshot(app, { store: new Deadly(new DirectoryStore(app.repository)), ...JSON.parse(options) });
console.log(JSON.stringify({ calls }));
Deno.exit(0);
