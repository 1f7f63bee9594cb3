import { AmberError } from "../errors.ts";
import { orNone } from "../stores/file_calls.ts";
import type { PutBackOptions } from "./put_back.ts";
import type { RestoreCalls } from "./restore_calls.ts";
import { discardCommand, unfinishable } from "./restore_decision.ts";
import type { Item } from "./restore_items.ts";
import { type Contents, eachContent, makeLink, writeItem } from "./stage.ts";
import { Flushing, hashOf } from "./staged_file.ts";
import { removeIfThere, TargetFolder } from "./target_folder.ts";

type Interrupted = Pick<
  PutBackOptions,
  "calls" | "folder" | "decision" | "items" | "root" | "database" | "isKept" | "stop"
>;

/**
 * Looks at what an interrupted restore has left staged: a plan is input, since the app may write into its data folder.
 * What is not as the snapshot says is staged again. To be called before putBack() goes on with a restore of another process.
 *
 * @throws {AmberError} RESTORE_UNFINISHED when the plan names what the snapshot does not have.
 */
export async function checkStaged(
  options: Interrupted,
  contents: Contents,
): Promise<void> {
  const { calls, folder, decision, stop } = options;
  const items = new Map(options.items.map((item) => [item.path, item]));
  const target = new TargetFolder({ ...options, gone: `${folder}/gone`, id: decision.id });
  const again: Item[] = [];
  const numbers = new Map<string, number>();
  for (const [number, path] of decision.names.entries()) {
    stop.throwIfAborted();
    const item = items.get(path);
    if (!item || item.type === "folder" || numbers.has(path)) {
      throw unfinishable(folder, `its plan names "${path}", which does not come`);
    }
    numbers.set(path, number);
    const staged = `${folder}/${number}`;
    const info = orNone(() => calls.lstat(staged));
    if (!info) continue; // done
    if (item.type === "link") {
      if (!info.isSymlink || calls.readLink(staged) !== item.target) {
        removeIfThere(`${staged}.new`, calls);
        makeLink(`${staged}.new`, item, { calls, owners: decision.asked.owners });
        replaceStaged(staged, info, calls);
      }
    } else if (item.type === "file") {
      // A database that has it already needs its image no more, and that one has been marked since.
      const isWritten = item.database && target.look(item.place) !== undefined &&
        calls.lookAtLive(target.full(item.place), { trusted: item.configured }).marker === decision.id;
      if (!isWritten && hashOf(staged, item, calls) !== item.contentHash) again.push(item);
    }
  }
  await stageAgain(again, numbers, options, contents);
  for (const item of options.items) {
    if (item.type === "hardlink") relink(item, items.get(item.target!)!, numbers, target, options);
  }
  if (!orNone(() => calls.lstat(`${folder}/gone`))?.isDirectory) {
    removeIfThere(`${folder}/gone`, calls);
    calls.mkdir(`${folder}/gone`, { mode: 0o700 });
  }
}

async function stageAgain(
  items: readonly Item[],
  numbers: ReadonlyMap<string, number>,
  { calls, folder, decision, stop }: Interrupted,
  contents: Contents,
): Promise<void> {
  if (items.length === 0) return;
  const flushing = new Flushing();
  const live = new Set(items.filter(({ database }) => database).map(({ path }) => path));
  const { owners } = decision.asked;
  try {
    await eachContent(contents, items, async (item, entry) => {
      const staged = `${folder}/${numbers.get(item.path)}`;
      removeIfThere(`${staged}.new`, calls);
      await writeItem(`${staged}.new`, item, entry, {
        ...{ calls, contents, live, owners, stop, flushing },
        progress: () => {},
      });
      await flushing.finish();
      replaceStaged(staged, orNone(() => calls.lstat(staged)), calls);
    });
  } finally {
    await flushing.settle();
  }
}

/** Never without a staged file in between: that would say that it is in place. */
function replaceStaged(staged: string, info: Deno.FileInfo | undefined, calls: RestoreCalls): void {
  if (info?.isDirectory) {
    throw new AmberError("RESTORE_UNFINISHED", {
      message: "Cannot finish the restore that was interrupted here: a folder lies where a staged file should be",
      where: staged,
      hint: `Remove that folder, or drop the restore: ${discardCommand}`,
    });
  }
  calls.rename(`${staged}.new`, staged);
}

/** A second name must be one of the same file, staged still or in place already. */
function relink(
  item: Item,
  first: Item,
  numbers: ReadonlyMap<string, number>,
  target: TargetFolder,
  { calls, folder }: Interrupted,
): void {
  const number = numbers.get(item.path);
  const staged = `${folder}/${number}`;
  const info = number === undefined ? undefined : orNone(() => calls.lstat(staged));
  if (!info) return;
  const firstNumber = numbers.get(first.path);
  const stagedFirst = `${folder}/${firstNumber}`;
  const isStaged = firstNumber !== undefined && orNone(() => calls.lstat(stagedFirst)) !== undefined;
  const source = isStaged ? stagedFirst : target.full(first.place);
  const there = isStaged ? calls.lstat(stagedFirst) : target.look(first.place);
  if (!there?.isFile || (there.ino === info.ino && there.dev === info.dev)) return;
  removeIfThere(`${staged}.new`, calls);
  calls.link(source, `${staged}.new`);
  replaceStaged(staged, info, calls);
}
