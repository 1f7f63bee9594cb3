import { realPath } from "../capture/inside.ts";
import type { DatabaseAddress } from "../database_url.ts";
import { AmberError } from "../errors.ts";
import type { Reporter } from "../output/reporter.ts";
import type { World } from "./context.ts";

/** What somebody has to agree to. */
export interface ConsentQuestion {
  production: boolean;
  /** Lines that say what will be removed or overwritten; shown when somebody is asked. Empty where the plan was shown already. */
  what: readonly string[];
  /** A question without its full stop, e.g. `Remove all of this?` */
  ask: string;
  /** What has to be named: see consentName(). */
  name: string;
  /** `--yes` */
  yes?: boolean;
  /** `--confirm NAME` */
  confirm?: string;
  /** `--no-safety`: what goes without a safety snapshot has to be named in so many words, outside production too. */
  noSafety?: boolean;
}

/**
 * Asks before data are removed or overwritten, on a terminal; without one it takes `--yes`, or the name. In production
 * `--yes` alone is not enough: the name has to be typed or given. Returns when that was agreed to.
 *
 * @throws {AmberError} CONFIRMATION_NEEDED otherwise; nothing was done then.
 */
export function consent(world: World, reporter: Reporter, question: ConsentQuestion): void {
  const { what, ask, name, confirm, production, noSafety } = question;
  if (confirm !== undefined) return refuseOther(confirm, name);
  if (question.yes && !production && !noSafety) return;
  if (!world.isTerminal || noSafety) throw needed(question);
  for (const line of what) reporter.event({ type: "note", message: line });
  reporter.makeRoom();
  if (production) {
    const typed = world.ask(`${ask} This is production: type ${name} to go on:`);
    if (typed?.trim() === name) return;
  } else if (/^y(es)?$/i.test(world.ask(`${ask} [y/N]`)?.trim() ?? "")) return;
  throw new AmberError("CONFIRMATION_NEEDED", { message: "Stopped: nothing was changed" });
}

/** What has to be typed or given as `--confirm`: the data folder's name, or the database's when only that is touched. */
export function consentName(
  { data, database }: { data: { value: string }; database: DatabaseAddress },
  only: "database" | "everything",
): string {
  if (only === "database" && database.engine === "postgres") return database.database;
  const path = only === "database" && database.engine === "sqlite" ? database.path : data.value;
  const bare = baseName(path);
  // "." and ".." and "/" are no names: the folder that they stand for has one.
  return /^\.*$/.test(bare) ? baseName(realPath(path)) || "/" : bare;
}

function baseName(path: string): string {
  const bare = path.replace(/\/+$/, "");
  return bare.slice(bare.lastIndexOf("/") + 1);
}

function refuseOther(confirm: string, name: string): void {
  if (confirm === name) return;
  throw new AmberError("CONFIRMATION_NEEDED", {
    message: `Cannot take "${confirm}" for a confirmation: what is at stake here is called "${name}"`,
    hint: `Is this the right place? If it is: --confirm ${quoted(name)}`,
  });
}

function needed({ ask, name, yes, production, noSafety }: ConsentQuestion): AmberError {
  if (!production && !noSafety) {
    return new AmberError("CONFIRMATION_NEEDED", {
      message: `${ask} Nobody can be asked here`,
      hint: "Add --yes if that is what you want. --plan shows what would be done.",
    });
  }
  const why = noSafety ? "There will be no safety snapshot" : "This is production";
  return new AmberError("CONFIRMATION_NEEDED", {
    message: `${ask} ${why}, ${yes ? "and --yes is not enough then" : "so the name is needed"}`,
    hint: `If that is what you want: --confirm ${quoted(name)}`,
  });
}

/** As a shell takes it for one word. */
function quoted(text: string): string {
  return /^[\w.@%+=:,/-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}
