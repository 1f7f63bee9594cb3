import { pathInside, realPath } from "../capture/inside.ts";
import type { DatabaseAddress, PostgresAddress, SqliteAddress } from "../database_url.ts";
import { AmberError } from "../errors.ts";
import { BlockPool } from "../repository/pool.ts";
import { SnapshotReader } from "../repository/reader.ts";
import { idOf } from "../repository/snapshot_file.ts";
import type { ObjectStore } from "../stores/store.ts";
import type { RehearseOptions } from "./rehearse.ts";

/** A copy of the configured database, removed when it is disposed of, whatever happens. */
export interface Scratch extends AsyncDisposable {
  address: DatabaseAddress;
  /** `now`, or the id of the snapshot that it comes from. */
  from: string;
}

/** @throws {AmberError} DATABASE_*, SNAPSHOT_UNKNOWN, REPOSITORY_MISSING, DISK_FULL; nothing is left then. */
export async function makeScratch(options: RehearseOptions): Promise<Scratch> {
  const { database } = options;
  return database.engine === "sqlite" ? await copyFile(options, database) : await copyServer(options, database);
}

async function copyFile(options: RehearseOptions, { path }: SqliteAddress): Promise<Scratch> {
  const { scratch, random, stop, snapshot, store, data, report } = options;
  const { RehearsalFile } = await import("../capture/rehearsal_file.ts");
  const file = RehearsalFile.create(scratch, random);
  try {
    let from = "now";
    if (snapshot === undefined) await file.copy(path, stop);
    else {
      const { cat } = await import("./cat.ts");
      const { findSnapshot } = await import("./list_files.ts");
      const look = { store, wanted: snapshot, stop, database: path, report };
      from = idOf(await findSnapshot(look));
      const place = pathInside(realPath(data), realPath(path)) ?? "/database.db";
      await file.fill((write) => cat({ ...look, wanted: from, path: place, write }));
    }
    return {
      address: { engine: "sqlite", path: file.path },
      from,
      [Symbol.asyncDispose]: () => Promise.resolve(file[Symbol.dispose]()),
    };
  } catch (error) {
    file[Symbol.dispose]();
    throw error;
  }
}

async function copyServer(options: RehearseOptions, address: PostgresAddress): Promise<Scratch> {
  const { waitMs = 60_000, by, stop, random, report, snapshot, store } = options;
  const { ScratchDatabase } = await import("../capture/postgres/scratch.ts");
  const run = { waitMs, by, stop, random, report };
  const made = await ScratchDatabase.create(address, run);
  if (typeof made === "string") {
    throw new AmberError("DATABASE_FORBIDDEN", {
      message: `Cannot rehearse: no copy of the database can be made on its server: ${made}`,
      hint:
        "As an administrator: alter role … createdb; or rehearse on another server, whose database a restore filled.",
    });
  }
  try {
    if (snapshot === undefined) {
      const { copyNow } = await import("../capture/postgres/copy_now.ts");
      await copyNow(address, made.address, run);
      return { address: made.address, from: "now", [Symbol.asyncDispose]: () => made[Symbol.asyncDispose]() };
    }
    const from = await restoreInto(made.address, { ...run, store, snapshot });
    return { address: made.address, from, [Symbol.asyncDispose]: () => made[Symbol.asyncDispose]() };
  } catch (error) {
    await made[Symbol.asyncDispose]();
    throw error;
  }
}

async function restoreInto(
  address: PostgresAddress,
  { store, snapshot, waitMs, by, stop, report }:
    & { store: ObjectStore; snapshot: string; waitMs: number }
    & Pick<RehearseOptions, "by" | "stop" | "report">,
): Promise<string> {
  const { findSnapshot } = await import("./list_files.ts");
  const found = await findSnapshot({ store, wanted: snapshot, stop, report });
  if (!found.facts.postgres) {
    throw new AmberError("SNAPSHOT_UNKNOWN", {
      message: `Cannot rehearse from snapshot ${idOf(found)}: no Postgres database is in it`,
      hint: "amber snapshots lists the others; without --from the database is copied as it is now.",
    });
  }
  using pool = new BlockPool();
  const { PostgresRestore } = await import("../capture/postgres/restore.ts");
  const contents = new SnapshotReader(store, found, pool);
  await using restore = await PostgresRestore.open({
    ...{ address, contents, schema: true, create: false, waitMs, by, stop, report },
  });
  await restore.load("rehearse");
  await restore.commit();
  await restore.end();
  return idOf(found);
}
