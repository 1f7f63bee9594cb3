/** More than this amber never wrote. */
const mostBytes = 1 << 20;

/**
 * Replaces the file of metrics at once: whoever reads it finds the old or the new one.
 *
 * @param change Gives the new text; the old one is empty when there is none. Undefined: it is not ours.
 * @returns What went wrong.
 */
export function replaceText(file: string, change: (old: string) => string | undefined): string | undefined {
  let beside: string | undefined;
  try {
    const found = readOld(file);
    const text = found && change(found.old);
    if (found === undefined || text === undefined) return "there is something else in its place";
    // The collector reads what ends in .prom, and this does not.
    const name = found.path.replace(/[^/]*$/, (name) => `.${name}.${crypto.randomUUID().slice(0, 8)}`);
    Deno.openSync(name, { createNew: true, write: true }).close();
    beside = name; // from here on it is ours to remove
    Deno.writeTextFileSync(name, text);
    Deno.chmodSync(name, 0o644); // whatever the umask is: another user's collector reads it
    Deno.renameSync(name, found.path);
    beside = undefined;
    return undefined;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return "there is no such folder";
    if (error instanceof Deno.errors.PermissionDenied) return "this user may not write there";
    // Whatever else it is, the work itself is done.
    return error instanceof Error ? error.message : String(error);
  } finally {
    if (beside !== undefined) Deno.removeSync(beside);
  }
}

/** Undefined when it is no ordinary file, or too large to be one of metrics. */
function readOld(file: string): { path: string; old: string } | undefined {
  let path: string;
  try {
    path = Deno.realPathSync(file); // a link stays one
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    return { path: file, old: "" };
  }
  const { isFile, size } = Deno.statSync(path);
  if (!isFile || size > mostBytes) return undefined;
  return { path, old: Deno.readTextFileSync(path) };
}
