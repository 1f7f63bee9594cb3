import type { PostgresAddress } from "../../database_url.ts";
import { quoteName, StatementFailure } from "../../engines/engine.ts";
import type { PostgresEngine } from "../../engines/postgres/engine.ts";
import { AmberError } from "../../errors.ts";
import { openDatabase, type PostgresWork } from "./open.ts";

export interface ScratchOptions extends PostgresWork {
  random: (size: number) => Uint8Array;
}

/** The server's time, s since 1970, and digits by chance. */
const pattern = "^amber_drill_[0-9]{10}_[0-9a-f]{16}$";

/** Between its making and the first connection to it nobody is in a scratch database. */
const youngSeconds = 600;

/** Made like the database that is connected to, whatever its locale's provider, but for what is in it. */
const makingSql = `select extract(epoch from now())::int8::text as seconds,
  pg_catalog.format('encoding %L lc_collate %L lc_ctype %L', pg_catalog.pg_encoding_to_char(encoding), datcollate, datctype)
  || coalesce(case to_jsonb(d) ->> 'datlocprovider'
    when 'i' then pg_catalog.format(' locale_provider icu icu_locale %L', coalesce(to_jsonb(d) ->> 'datlocale', to_jsonb(d) ->> 'daticulocale'))
    when 'b' then pg_catalog.format(' locale_provider builtin builtin_locale %L', to_jsonb(d) ->> 'datlocale') end, '') as like_it
  from pg_catalog.pg_database d where datname = pg_catalog.current_database()`;

/** Those that a killed drill left: of a role that this one is, without a connection, and not just made. */
const leftSql = `select datname as name from pg_catalog.pg_database d
  where datname ~ '${pattern}' and pg_catalog.pg_has_role(datdba, 'member')
    and pg_catalog.split_part(datname, '_', 3)::int8 < extract(epoch from now()) - ${youngSeconds}
    and not exists (select from pg_catalog.pg_stat_activity a where a.datid = d.oid)`;

/** A database on the configured server that is there for one drill. */
export class ScratchDatabase implements AsyncDisposable {
  private constructor(
    private readonly server: PostgresAddress,
    private readonly options: ScratchOptions,
    readonly address: PostgresAddress,
  ) {}

  /**
   * Makes one, and removes those that killed drills left. A text instead: why there can be none.
   *
   * @throws {AmberError} DATABASE_* when the server cannot be reached.
   */
  static async create(server: PostgresAddress, options: ScratchOptions): Promise<ScratchDatabase | string> {
    let engine: PostgresEngine;
    try {
      engine = await openDatabase(server, options, { create: false });
    } catch (error) {
      if (!(error instanceof AmberError) || error.code !== "DATABASE_UNKNOWN") throw error;
      return "the configured database does not exist";
    }
    try {
      for (const { name } of await engine.query(leftSql)) await drop(engine, String(name));
      const [row] = await engine.query(makingSql);
      const name = `amber_drill_${row!.seconds}_${options.random(8).toHex()}`;
      await engine.query(`create database ${quoteName(name)} template template0 ${row!.like_it}`);
      return new ScratchDatabase(server, options, { ...server, database: name });
    } catch (error) {
      if (!(error instanceof StatementFailure) || error.code !== "42501") throw error;
      return "the role may not create databases";
    } finally {
      await engine.close();
    }
  }

  /** Also after an interruption. */
  async [Symbol.asyncDispose](): Promise<void> {
    const { server, options, address: { database } } = this;
    try {
      const engine = await openDatabase(
        server,
        { ...options, waitMs: 5_000, stop: new AbortController().signal },
        { create: false },
      );
      try {
        await engine.query(`drop database if exists ${quoteName(database)} with (force)`);
      } finally {
        await engine.close();
      }
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      options.report({ type: "note", message: `the scratch database "${database}" could not be dropped: ${why}` });
    }
  }
}

/** Somebody may have connected just now: then it is no left one. */
async function drop(engine: PostgresEngine, name: string): Promise<void> {
  try {
    await engine.query(`drop database if exists ${quoteName(name)}`);
  } catch (error) {
    if (!(error instanceof StatementFailure) || error.code !== "55006") throw error;
  }
}
