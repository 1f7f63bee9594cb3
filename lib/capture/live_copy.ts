/** A copy of a SQLite database as it is now, of which nothing is written. */
export { copyLive } from "../engines/sqlite/copy_live.ts";
