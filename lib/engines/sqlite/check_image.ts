import type { ImageCheckMessage } from "./check_worker.ts";

/** What is asked of a database that lies staged: nobody else has it open, and it is never written. */
export interface ImageQuestion {
  /** Tables to count. */
  tables: readonly string[];
  /** quick_check instead of integrity_check: all pages and rows, but not whether each index has what its table has. */
  isQuick?: boolean;
}

/** What an image holds. */
export interface ImageCheck {
  /** What integrity_check found, or why it could not be done; empty: nothing. At most 20 lines. */
  integrity: string[];
  /** What foreign_key_check found: how many rows point nowhere, in which tables. */
  foreignKeys: { count: number; tables: string[] };
  /** Rows of each table that was asked for; `missing` when there is no such table, a text when it cannot be counted. */
  rows: Record<string, number | "missing" | { failure: string }>;
  /** Applied migrations, when the history was among the tables that were asked for. */
  migrations?: { count: number; last: string };
}

/**
 * Opens an image and reads all of it: integrity, foreign keys, rows. In a worker of its own, for it takes seconds. The
 * image is input: no function of its schema is trusted, nothing in it is executed, and nothing is left beside it.
 */
export async function imageCheck(path: string, question: ImageQuestion): Promise<ImageCheck> {
  const worker = new Worker(new URL("./check_worker.ts", import.meta.url), { type: "module" });
  try {
    return await new Promise<ImageCheck>((resolve, reject) => {
      worker.onmessage = ({ data }: MessageEvent<ImageCheckMessage>) => {
        if (data.check) resolve(data.check);
        else reject(new Error(data.failure));
      };
      worker.onerror = (event) => {
        event.preventDefault();
        reject(new Error(event.message));
      };
      worker.postMessage({ path, question });
    });
  } finally {
    worker.terminate();
  }
}
