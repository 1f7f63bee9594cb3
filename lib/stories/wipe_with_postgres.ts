import type { PostgresWipe } from "../capture/postgres/wipe.ts";
import type { WipeDecision } from "../capture/wipe_decision.ts";
import { type WipePlaces, wipeWaitMs } from "./wipe_target.ts";

// The driver is loaded only for Postgres, hence every import of what needs it is in a function.

/** Which schemas go beside those that the app uses. */
export interface WipeSchemas {
  /** Postgres: these too. */
  schemas?: readonly string[];
  /** Postgres: all that there are. */
  allSchemas?: boolean;
}

/** The Postgres side of a wipe; undefined when another engine is configured. Nothing is changed yet. */
export async function openPostgres(
  { database, waitMs = wipeWaitMs, by = "amber", schemas = [], allSchemas = false, stop, report }:
    & WipePlaces
    & WipeSchemas,
): Promise<PostgresWipe | undefined> {
  if (database.engine !== "postgres") return undefined;
  const { PostgresWipe } = await import("../capture/postgres/wipe.ts");
  return await PostgresWipe.open({ address: database, schemas, allSchemas, waitMs, by, stop, report });
}

/** What is left to do of a wipe that was interrupted: `isDone` says whether its database is empty already. */
export async function unfinishedPostgres(
  places: WipePlaces,
  { id, postgres }: WipeDecision,
): Promise<{ isOther: boolean; isDone: boolean; end: () => Promise<void> }> {
  await using wipe = await openPostgres(places);
  if (wipe?.plan.database !== postgres) return { isOther: true, isDone: false, end: () => Promise.resolve() };
  return {
    isOther: false,
    isDone: await wipe!.isDone(id),
    end: async () => {
      // What is decided is not given up for a signal.
      await using again = await openPostgres({ ...places, stop: new AbortController().signal });
      await again!.end();
    },
  };
}
