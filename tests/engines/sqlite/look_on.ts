/** Holds, pins and copies databases as far as this user may, and says as JSON how far that was. Its arguments: a folder for copies, paths. */
import { Barrier } from "../../../lib/engines/sqlite/barrier.ts";
import { inspectPinned, openCopy, openImage } from "../../../lib/engines/sqlite/image.ts";
import { Pins } from "../../../lib/engines/sqlite/pin.ts";

const [scratch, ...paths] = Deno.args;
using barrier = await Barrier.open(paths, { stop: new AbortController().signal, report: () => {} });
await using pins = await Pins.open(paths.filter((path) => !barrier.unreadable.has(path)));
await barrier.hold();
const pinned = await pins.pin();
const sources = new Map([...pinned].map(([path, one]) => [path, inspectPinned(one, { isHeld: barrier.isHeld(path) })]));
barrier.release();
const found: Record<string, unknown> = {};
for (const path of paths) {
  const one = pinned.get(path);
  if (!one) {
    found[path] = { unreadable: barrier.unreadable.get(path) ?? pins.failed.get(path) };
    continue;
  }
  const target = `${scratch}/copy.db`;
  await pins.copy(path, target);
  using copy = openCopy(target, one);
  const source = sources.get(path);
  using image = source && openImage(source);
  found[path] = {
    unheld: barrier.unheld.get(path),
    access: one.access,
    rows: (await pins.facts(path)).rows,
    copiedPages: copy.pages,
    readDirectly: image?.read(0, image.pages).length === copy.size,
  };
  Deno.removeSync(target);
}
console.log(JSON.stringify(found));
