/** How far long work has come. Reported as often as is convenient, every few milliseconds if need be: few are shown. */
export interface ProgressEvent {
  /** Tells it from other events. */
  type: "progress";
  /** What is being done, for people: `reading`, `verifying`. When it changes, something else has begun. */
  what: string;
  /** So much of it is done, also by earlier runs that this one goes on from. */
  done: number;
  /** Absent: not known. What is read while others write to it may come to be more. */
  total?: number;
  /** What is counted. */
  unit: "bytes" | "files" | "objects" | "databases" | "snapshots";
}
