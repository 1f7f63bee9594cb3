/** Runs in little memory: what goes in comes out, whatever its numbers, and is joined where it goes on. */
import assert from "node:assert/strict";
import { PendingList, settle } from "../../lib/repository/pending_runs.ts";
import { countBlocks, cutRuns, partOf, RunList } from "../../lib/repository/run_list.ts";
import type { Run } from "../../lib/repository/snapshot_file.ts";
import { random, runSeed } from "../support/random.ts";

function listOf(...runs: [number, number, number][]): RunList {
  const list = new RunList();
  for (const [count, pack, index] of runs) list.push({ count, pack, index });
  return list;
}

const flat = (runs: Iterable<Run>) => [...runs].map(({ count, pack, index }) => [count, pack, index]);

Deno.test("a list joins a run with the one before when it goes on from it, and holes always", () => {
  const list = listOf([2, 1, 0], [1, 1, 2], [1, 1, 4], [1, 2, 5], [3, 0, 0], [4, 0, 0], [1, 2, 6]);
  assert.deepEqual(flat(list), [[3, 1, 0], [1, 1, 4], [1, 2, 5], [7, 0, 0], [1, 2, 6]]);
  assert.equal(list.length, 5);
  assert.deepEqual(flat(list), flat(list), "it can be gone through again");
});

Deno.test("a list keeps numbers of 53 bits, also those that come late or by joining", () => {
  const most = Number.MAX_SAFE_INTEGER;
  const early: [number, number, number][] = Array.from({ length: 100 }, (_, i) => [1, 1, i * 2]);
  const late: [number, number, number][] = [[most, 2, 7], [1, most, 0], [1, 3, most], [2 ** 32, 4, 0]];
  assert.deepEqual(flat(listOf(...early, ...late)), [...early, ...late]);
  assert.deepEqual(flat(listOf(...early, [2 ** 32 - 1, 0, 0], [2, 0, 0])), [...early, [2 ** 32 + 1, 0, 0]]);
});

Deno.test("a list of many runs gives what an array of them gives: all, parts and cuts", () => {
  const chance = random(runSeed());
  const all: Run[] = Array.from({ length: 5_000 }, (_, i) => {
    const pack = chance.int(0, 3);
    return {
      count: chance.int(1, 9),
      pack: pack === 0 && i % 2 === 0 ? 4 : pack,
      index: pack === 0 && i % 2 === 1 ? 0 : i * 20,
    };
  });
  const list = new RunList();
  for (const run of all) list.push(run);
  const each = (runs: Iterable<Run>) =>
    [...runs].flatMap(({ count, pack, index }) =>
      Array.from({ length: count }, (_, i) => `${pack}/${pack === 0 ? 0 : index + i}`)
    );
  assert.deepEqual(each(list), each(all));
  assert.equal(countBlocks(list), each(all).length);
  for (const [from, to] of [[0, 0], [0, 1], [17, 4_321], [24_000, 1e9]] as const) {
    assert.deepEqual(each(partOf(list, from, to)), each(all).slice(from, to));
  }
  const cuts = [...cutRuns(list, 100)].map((numbers) => listOf(...triples(numbers)));
  assert.deepEqual(cuts.flatMap((cut) => each(cut)), each(all));
  assert.ok(cuts.slice(0, -1).every((cut) => countBlocks(cut) === 100));
});

function triples(numbers: readonly number[]): [number, number, number][] {
  return Array.from(
    { length: numbers.length / 3 },
    (_, i) => numbers.slice(i * 3, i * 3 + 3) as [number, number, number],
  );
}

Deno.test("pending runs are settled by where their frames are then, and joined across frames", () => {
  const [first, second, parents] = [{ pack: 0, first: 0 }, { pack: 0, first: 0 }, { pack: 3, first: 0 }];
  const pending = new PendingList();
  pending.push(first, 0);
  pending.push(first, 1);
  pending.push(second, 0, 2);
  pending.push(undefined, 0);
  pending.push(undefined, 0, 2);
  pending.push(parents, 7);
  pending.push(first, 0);
  assert.deepEqual([...pending].map(({ at, index, count }) => [at, index, count]), [
    [first, 0, 2],
    [second, 0, 2],
    [undefined, 0, 3],
    [parents, 7, 1],
    [first, 0, 1],
  ]);
  const runs = settle(pending);
  Object.assign(first, { pack: 9, first: 10 });
  Object.assign(second, { pack: 9, first: 12 });
  assert.deepEqual(flat(runs), [[4, 9, 10], [3, 0, 0], [1, 3, 7], [1, 9, 10]]);
  assert.deepEqual(flat(runs), flat(runs), "as often as one likes");
});
