import assert from "node:assert/strict";
import { random } from "./random.ts";

Deno.test("the same seed gives the same choices", () => {
  const choices = (seed: number) => {
    const r = random(seed);
    return [r.next(), r.int(1, 6), r.pick(["a", "b", "c"]), r.shuffle([1, 2, 3, 4, 5]), r.text(8), r.chance(0.5)];
  };
  assert.deepEqual(choices(7), choices(7));
  assert.notDeepEqual(choices(7), choices(8));
});

Deno.test("whole numbers cover their range evenly and keep to it", () => {
  const r = random(1);
  const counts = new Map<number, number>();
  for (let i = 0; i < 6000; i++) {
    const number = r.int(1, 6);
    counts.set(number, (counts.get(number) ?? 0) + 1);
  }
  assert.deepEqual([...counts.keys()].sort(), [1, 2, 3, 4, 5, 6]);
  assert.ok([...counts.values()].every((count) => count > 850 && count < 1150));
});
