import { AmberError } from "../errors.ts";
import { isPath } from "../repository/tree.ts";
import { orNone, readAll, writeAll } from "../stores/file_calls.ts";
import { lookForDecision, syncFolder } from "./restore_decision.ts";
import type { WipeCalls } from "./wipe_calls.ts";
import type { Going } from "./wipe_look.ts";

/**
 * What `<scratch>/wipe.json` says while a wipe is carried out. Where a database goes too, the commit that empties it is what
 * decides: it brings a marker with this id. Without that marker nothing has happened yet. Where only files go, this
 * file's being there decides.
 */
export interface WipeDecision {
  /** 32 hex digits, its own. */
  id: string;
  /** When, ISO 8601. */
  time: string;
  /** The safety snapshot's id. */
  safety?: string;
  /** The data folder and the configured database's file, absolute: compared with what is configured then, never used. */
  root: string;
  database?: string;
  /** The configured Postgres, as people read it, when everything in it goes too. */
  postgres?: string;
  going: Going[];
}

const fileName = "wipe.json";
/** Enough for some hundred thousand paths. A bound, for it is input: the app may write into its data folder. */
const largestBytes = 64 << 20;

/** Writes it, whole or not at all; it is durable when this returns. */
export function writeWipeDecision(scratch: string, decision: WipeDecision, calls: WipeCalls): void {
  const path = `${scratch}/${fileName}`;
  const going = decision.going.map(({ place, device, inode }) => [place, device, inode]);
  const bytes = new TextEncoder().encode(`${JSON.stringify({ ...decision, going })}\n`);
  if (bytes.length > largestBytes) {
    throw new AmberError("USAGE", {
      message: `Cannot wipe ${going.length} paths at once`,
      hint: "Exclude whole folders rather than files in them: AMBER_EXCLUDE",
    });
  }
  const file = calls.open(`${path}.new`, { write: true, create: true, truncate: true, mode: 0o600 });
  try {
    writeAll(file, bytes);
    file.syncSync();
  } finally {
    file.close();
  }
  calls.rename(`${path}.new`, path);
  syncFolder(scratch, calls);
}

export function removeWipeDecision(scratch: string, calls: WipeCalls): void {
  for (const name of [`${fileName}.new`, fileName]) orNone(() => calls.remove(`${scratch}/${name}`));
  syncFolder(scratch, calls);
}

/**
 * The wipe that was begun and is not finished; undefined when there is none. What is none of ours is no wipe.
 */
export function readWipeDecision(
  scratch: string,
  calls: Pick<WipeCalls, "lstat" | "open">,
): WipeDecision | undefined {
  const path = `${scratch}/${fileName}`;
  const info = lookForDecision(path, calls);
  if (!info?.isFile || info.size > largestBytes) return undefined;
  const file = calls.open(path, { read: true });
  try {
    return decode(JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(readAll(file, info.size))));
  } catch (error) {
    if (!(error instanceof SyntaxError) && !(error instanceof TypeError)) throw error;
    return undefined;
  } finally {
    file.close();
  }
}

const isText = (value: unknown): value is string => typeof value === "string" && value.length < 65_536;
const isOptionalText = (value: unknown) => value === undefined || isText(value);

function decode(value: unknown): WipeDecision | undefined {
  if (typeof value !== "object" || value === null) return undefined;
  const { id, time, safety, root, database, postgres, going } = value as Record<string, unknown>;
  if (!isText(id) || !/^[0-9a-f]{32}$/.test(id) || !isText(time) || !isText(root)) return undefined;
  if (![safety, database, postgres].every(isOptionalText) || !Array.isArray(going)) return undefined;
  const isGoing = (one: unknown) =>
    Array.isArray(one) && isText(one[0]) && isPath(one[0]) && !one[0].startsWith("/") &&
    typeof one[1] === "number" && typeof one[2] === "number";
  if (!going.every(isGoing)) return undefined;
  return {
    ...{ id, time, root },
    ...(safety === undefined ? {} : { safety: safety as string }),
    ...(database === undefined ? {} : { database: database as string }),
    ...(postgres === undefined ? {} : { postgres: postgres as string }),
    going: going.map(([place, device, inode]) => ({ place, device, inode })),
  };
}
