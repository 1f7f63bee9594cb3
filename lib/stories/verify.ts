import { BlockPool } from "../repository/pool.ts";
import { parseShare } from "../repository/share.ts";
import { type Verification, verifyRepository } from "../repository/verify.ts";
import type { ObjectStore } from "../stores/store.ts";
import type { ProgressEvent } from "./progress.ts";

/** What is told while a repository is verified. */
export type VerifyEvent = ProgressEvent | { type: "note"; message: string };

export interface VerifyOptions {
  store: ObjectStore;
  /** `1/7`: a seventh today, another one tomorrow, and all in seven days. Default: everything. */
  share?: string;
  now: () => Date;
  stop: AbortSignal;
  report: (event: VerifyEvent) => void;
}

/**
 * Reads everything that is stored and compares it with its hashes. Changes nothing.
 *
 * @throws {AmberError} USAGE for a share that is none; REPOSITORY_*, STORE_*. What is damaged is no error but a finding.
 */
export async function verify({ store, share, now, stop, report }: VerifyOptions): Promise<Verification> {
  const part = share === undefined ? {} : { share: parseShare(share) };
  using pool = new BlockPool();
  return await verifyRepository(store, pool, { ...part, nowMs: now().getTime(), stop, report });
}
