import { AmberError } from "../errors.ts";
import { unfinishedRestore } from "./unfinished_restore.ts";
import { unfinishedWipe } from "./unfinished_wipe.ts";

/** What was interrupted and waits for the next command that writes, in words for people; what cannot be read is told too. */
export function unfinishedWork(scratch: string): string[] {
  return [unfinishedRestore, unfinishedWipe].flatMap((look) => {
    try {
      const found = look(scratch);
      return found ? [found.message] : [];
    } catch (error) {
      if (!(error instanceof AmberError)) throw error;
      return [error.hint ? `${error.message}. ${error.hint}` : error.message];
    }
  });
}
