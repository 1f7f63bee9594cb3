import assert from "node:assert/strict";
import { runBatch } from "../../lib/migrations/batch.ts";
import { open } from "../engines/contract.ts";
import { sharedPostgres } from "../support/postgres.ts";
import { testWith } from "../support/skip.ts";
import { tempFolder } from "../support/temp_folder.ts";

/** Keys that a walk must remember between two runs in their own type. */
const keys: { name: string; type: string; values: string[] }[] = [
  { name: "whole numbers", type: "integer", values: Array.from({ length: 12 }, (_, i) => String(i * 7 - 20)) },
  {
    name: "numbers over 2^53",
    type: "bigint",
    values: ["9007199254740991", "9007199254740993", "9007199254740995", "9223372036854775807"],
  },
  { name: "texts that look like numbers", type: "text", values: ["'1'", "'10'", "'2'", "'i7'", "'it''s \\'", "'ä'"] },
  { name: "fractions", type: "double precision", values: ["-1.5", "0.25", "0.3", "1e20"] },
  {
    name: "dates",
    type: "timestamptz",
    values: ["'2026-01-01T00:00:00.000Z'", "'2026-01-01T00:00:00.001Z'", "'2026-01-02T00:00:00.000Z'"],
  },
];

for (const engineName of ["sqlite", "postgres"] as const) {
  for (const { name, type, values } of keys) {
    testWith(
      engineName === "postgres" ? ["postgres"] : [],
      `${engineName}: a walk by ${name} goes on where it was stopped, each row once`,
      async () => {
        await using folder = await tempFolder();
        await using database = engineName === "postgres" ? await (await sharedPostgres()).database() : undefined;
        await using engine = await open(database?.url ?? `sqlite:${folder.path("a.db")}`, { create: true });
        await engine.run([
          { text: `create table t (k ${type} primary key, n integer default 0)` },
          ...values.map((value) => ({ text: `insert into t (k) values (${value})` })),
        ]);
        await engine.lock({ journaled: true });
        await engine.rollback();
        let kept = "{}";
        const checkpoint = {
          index: 0,
          read: () => Promise.resolve(JSON.parse(kept) as Record<string, string>),
          write: (all: Record<string, string>) => Promise.resolve(void (kept = JSON.stringify(all))),
        };
        let rounds = 0;
        for (let run = 0; run < 100; run++) {
          try {
            await runBatch(engine, { from: "t", key: "k", size: 1 }, async () => {
              if (++rounds % 3 === 0) throw new Error("killed");
              await engine.run([{ text: `update t set n = n + 1 where k = (select min(k) from t where n = 0)` }]);
            }, checkpoint);
            break;
          } catch (error) {
            assert.equal((error as Error).message, "killed");
            await engine.rollback();
          }
        }
        const rows = await engine.query("select n, count(*) as rows from t group by n");
        assert.deepEqual(rows.map(({ n, rows }) => [Number(n), Number(rows)]), [[1, values.length]]);
      },
    );
  }
}
