import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { projectFolder } from "../support/command.ts";
import { makeDatabase } from "../support/data_tree.ts";
import { appIn, putBack, take } from "../support/restoring.ts";
import { tempFolder } from "../support/temp_folder.ts";

/** A server in a process of its own that commits numbers; `until()` and `stop()` give the last one. */
function startCommitting(path: string): { until: (count: number) => Promise<number>; stop: () => Promise<number> } {
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--quiet", "--no-check", `${projectFolder}/tests/support/committer.ts`, path],
    stdin: "piped",
    stdout: "piped",
  }).spawn();
  let last = 0;
  let wake = Promise.withResolvers<void>();
  const reading = (async () => {
    let text = "";
    for await (const part of child.stdout.pipeThrough(new TextDecoderStream())) {
      text += part;
      const end = text.lastIndexOf("\n");
      if (end < 0) continue;
      last = Number(text.slice(0, end).split("\n").at(-1));
      text = text.slice(end + 1);
      wake.resolve();
      wake = Promise.withResolvers();
    }
  })();
  return {
    until: async (count) => {
      while (last < count) await Promise.race([wake.promise, reading]);
      return last;
    },
    stop: async () => {
      await child.stdin.close();
      await reading;
      assert.equal((await child.status).code, 0);
      return last;
    },
  };
}

for (const journal of ["wal", "delete"] as const) {
  Deno.test(`restore() under a server that keeps committing (${journal}): no commit after the restore is lost`, async () => {
    await using folder = await tempFolder({ "data/a": "one" });
    const app = appIn(folder.root);
    makeDatabase(app.database, { rows: 500, text: "kept", journal });
    await take(app);
    const server = startCommitting(app.database);
    await server.until(20);
    await putBack(app, { waitMs: 30_000 });
    const check = new DatabaseSync(app.database, { timeout: 10_000 });
    const rowsNow = (like: string) =>
      Number(check.prepare("select count(*) as count from notes where text like ?").get(like)!.count);
    assert.equal(rowsNow("kept%"), 500);
    await server.until(await server.until(0) + 20);
    const last = await server.stop();
    const numbers = check.prepare("select text from notes where text like 'committed%' order by id").all()
      .map((row) => Number(String(row.text).split(" ")[1]));
    // The restore took away a beginning of them, and nothing else: the rest is there, in a row, up to the last.
    assert.deepEqual(numbers, Array.from({ length: numbers.length }, (_, index) => last - numbers.length + 1 + index));
    assert.ok(numbers.length >= 20 && numbers.length < last, `${numbers.length} of ${last}`);
    assert.equal(check.prepare("pragma integrity_check").get()!.integrity_check, "ok");
    assert.equal(check.prepare("pragma journal_mode").get()!.journal_mode, journal);
    check.close();
  });
}
