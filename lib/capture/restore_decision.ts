import { AmberError } from "../errors.ts";
import { isPath } from "../repository/tree.ts";
import type { RestoreCalls } from "./restore_calls.ts";
import type { Selection } from "./restore_items.ts";
import { orNone, writeAll } from "../stores/file_calls.ts";

/** What was asked for: the same again means the same restore, whatever `latest` would be by then. */
export interface Asked {
  /** `latest`, or an id as it was typed. */
  wanted: string;
  /** ISO 8601. */
  at?: string;
  selection: Selection;
  owners: boolean;
  /** Only what was empty is touched. */
  ifEmpty: boolean;
}

/**
 * What plan.json says. From when it is there a restore is decided: whoever writes next finishes it. A staged file that is
 * still there is a step not done; there is no other journal.
 */
export interface Decision {
  /** 32 hex digits, the restore's own: it is the marker in the databases that are written live. */
  id: string;
  /** The snapshot's hash and the name of its file. */
  snapshot: string;
  name: string;
  asked: Asked;
  /** The target folder and the configured database's file, absolute, links resolved: compared with what is configured then, never used. */
  target: string;
  database?: string;
  /** Where the Postgres database comes too: which one it was, and whether schema.sql may be run. */
  postgres?: { database: string; schema: boolean };
  /** The safety snapshot's id. */
  safety?: string;
  /** When it was decided, ISO 8601. */
  time: string;
  /** Number of a staged file → the path in the snapshot that it stands for. */
  names: string[];
  /** Places of the databases among them. */
  databases: string[];
  /** Number of what goes → its place; it is moved to `gone/<number>`. */
  goes: string[];
}

const fileName = "plan.json";
/** Enough for a million paths. A bound, for plan.json is input: the app may write into its data folder. */
const largestBytes = 64 << 20;

/** Writes plan.json, whole or not at all; it is durable when this returns. */
export function writeDecision(folder: string, decision: Decision, calls: RestoreCalls): void {
  const path = `${folder}/${fileName}`;
  const bytes = new TextEncoder().encode(`${JSON.stringify(decision)}\n`);
  if (bytes.length > largestBytes) {
    throw new AmberError("USAGE", {
      message: `Cannot restore ${decision.names.length} paths at once`,
      hint: "Restore the folders one after the other: --path FOLDER",
    });
  }
  const file = calls.open(`${path}.new`, { write: true, create: true, truncate: true, mode: 0o600 });
  try {
    writeAll(file, bytes);
    file.syncSync();
  } finally {
    file.close();
  }
  syncFolder(folder, calls); // what it speaks of
  calls.rename(`${path}.new`, path);
  syncFolder(folder, calls);
}

/** Ends a restore: nothing is decided any more. */
export function removeDecision(folder: string, calls: RestoreCalls): void {
  calls.remove(`${folder}/${fileName}`);
  syncFolder(folder, calls);
}

/** What lies where a decision would. @throws {AmberError} FILE_UNREADABLE when the way there is closed to this user. */
export function lookForDecision(path: string, calls: Pick<RestoreCalls, "lstat">): Deno.FileInfo | undefined {
  try {
    return orNone(() => calls.lstat(path));
  } catch (error) {
    if (!(error instanceof Deno.errors.PermissionDenied)) throw error;
    throw new AmberError("FILE_UNREADABLE", {
      message: `Cannot look for what was interrupted: "${path}" cannot be reached: permission denied`,
      where: path,
      hint: "Run amber as the user that owns the folders above it, or let AMBER_SCRATCH name another one.",
      cause: error,
    });
  }
}

/**
 * The restore that is decided and not finished; undefined when there is none.
 *
 * @param folder `<scratch>/restore`
 * @throws {AmberError} RESTORE_UNFINISHED for a plan.json that is none of ours.
 */
export function readDecision(
  folder: string,
  calls: Pick<RestoreCalls, "lstat" | "openRegular">,
): Decision | undefined {
  const path = `${folder}/${fileName}`;
  const info = lookForDecision(path, calls);
  if (!info) return undefined;
  let value: unknown;
  {
    using file = info.isFile ? calls.openRegular(path) : undefined;
    if (!file || file.size > largestBytes) throw unfinishable(folder, "its plan is no file, or too large");
    const bytes = new Uint8Array(file.size);
    const read = file.read(bytes, 0);
    try {
      value = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes.subarray(0, read)));
    } catch (error) {
      if (!(error instanceof SyntaxError) && !(error instanceof TypeError)) throw error;
      throw unfinishable(folder, "its plan is no JSON");
    }
  }
  const problem = firstProblem(value);
  if (problem) throw unfinishable(folder, `its plan is malformed, ${problem}`);
  return value as Decision;
}

function firstProblem(value: unknown): string | undefined {
  if (!isObject(value)) return "it is no object";
  const { id, snapshot, name, asked, target, database, postgres, safety, time, names, databases, goes } = value;
  if (!isHex(id, 32) || !isHex(snapshot, 64)) return "it names no snapshot";
  if (!isText(name) || !isText(target) || !isText(time)) return "a field is missing";
  if (![database, safety].every((one) => one === undefined || isText(one))) return "a field is malformed";
  if (postgres !== undefined && !isPostgres(postgres)) return "what it says of Postgres is malformed";
  if (![names, databases, goes].every(isPaths)) return "it names a path that is none";
  if (!isObject(asked) || !isText(asked.wanted) || typeof asked.owners !== "boolean") {
    return "it does not say what was asked";
  }
  if (typeof asked.ifEmpty !== "boolean" || (asked.at !== undefined && !isText(asked.at))) {
    return "it does not say what was asked";
  }
  const { selection } = asked;
  const isSelection = isObject(selection) && typeof selection.files === "boolean" &&
    typeof selection.database === "boolean" && Array.isArray(selection.paths) && selection.paths.every(isText);
  return isSelection ? undefined : "it does not say what was asked";
}

function isPostgres(value: unknown): boolean {
  return isObject(value) && isText(value.database) && typeof value.schema === "boolean";
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);
const isText = (value: unknown): value is string => typeof value === "string" && value.length < 65_536;
const isHex = (value: unknown, size: number) =>
  typeof value === "string" && value.length === size && /^[0-9a-f]+$/.test(value);
const isPaths = (value: unknown) =>
  Array.isArray(value) && value.every((one) => typeof one === "string" && isPath(one));

/** Whether two restores were asked for in the same words. */
export function isSameAsk(a: Asked, b: Asked): boolean {
  const key = ({ wanted, at, selection: { paths, files, database }, owners, ifEmpty }: Asked) =>
    // What is empty is found out; the words are the same.
    JSON.stringify([wanted, at ?? null, owners, ifEmpty, ...(ifEmpty ? [] : [[...paths].sort(), files, database])]);
  return key(a) === key(b);
}

export function syncFolder(path: string, calls: Pick<RestoreCalls, "open">): void {
  const folder = calls.open(path, { read: true });
  try {
    folder.syncSync();
  } catch (error) {
    // Some network and FUSE file systems know no such thing for folders, and nothing better is to be had there.
    if ((error as { code?: string }).code !== "EINVAL") throw error;
  } finally {
    folder.close();
  }
}

/** The command that gets rid of a decided restore that cannot be finished. */
export const discardCommand = "amber restore --discard";

/** @param folder `<scratch>/restore` */
export function unfinishable(folder: string, why: string, cause?: unknown): AmberError {
  return new AmberError("RESTORE_UNFINISHED", {
    message: `Cannot finish the restore that was interrupted here: ${why}`,
    where: `${folder}/plan.json`,
    hint: `To drop it: ${discardCommand}. Some files may be in place already; then restore once more.`,
    cause,
  });
}
