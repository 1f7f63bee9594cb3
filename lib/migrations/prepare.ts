import { AmberError } from "../errors.ts";
import type { CodeModule } from "./code.ts";
import { sha256 } from "./digest.ts";
import type { HistoryRow } from "./history_row.ts";
import type { Dialect } from "./lexer.ts";
import { decode, type Migration, type MigrationFile } from "./migration.ts";
import type { Step } from "./plan.ts";
import { checksums, makeScript, type Script, sectionText } from "./script.ts";
import { parseSqlFile, type SqlFile } from "./sql_file.ts";
import type { Fingerprint } from "./survey.ts";

/** A step with all that running it needs: nothing is read from disk after this. */
export interface Prepared extends Step {
  path: string;
  /** SQL; absent for code. */
  script?: Script;
  code?: CodeModule;
  file?: MigrationFile;
  /** One transaction together with the history row. */
  atomic: boolean;
  /** Not known to be additive. Whether that matters depends on the database having rows. */
  risky: boolean;
  fingerprint: Required<Fingerprint>;
  /** What undoes it, for the history; null when nothing does or code does. */
  downSql: string | null;
}

/**
 * Reads, parses and loads what the steps need, all of it before anything runs: a typo in the last file stops the first.
 *
 * @throws {AmberError} MIGRATION_MALFORMED, MIGRATION_IRREVERSIBLE
 */
export async function prepare(steps: readonly Step[], dialect: Dialect): Promise<Prepared[]> {
  const prepared: Prepared[] = [];
  const irreversible: AmberError[] = [];
  for (const step of steps) {
    try {
      prepared.push(
        step.migration?.kind === "code" ? await prepareCode(step, step.migration) : await prepareSql(step, dialect),
      );
    } catch (error) {
      if (!(error instanceof AmberError) || error.code !== "MIGRATION_IRREVERSIBLE") throw error;
      irreversible.push(error); // a file that cannot be read is worse news
    }
  }
  if (irreversible[0]) throw irreversible[0];
  return prepared;
}

/** What a file is known by. Its statements are read only when its bytes differ from the row's. */
export async function fingerprint(
  file: MigrationFile,
  row: HistoryRow | undefined,
  dialect: Dialect,
): Promise<Fingerprint> {
  const rawHash = await sha256(file.bytes);
  if (row?.rawHash === rawHash) return { rawHash };
  if (file.kind === "code") return { rawHash, ...await codeChecksum(file) };
  return { rawHash, ...await sumsOf(file, dialect) };
}

/** What a file's bytes were read as: comparing and preparing look at the same files. One folder is one engine's. */
const parsed = new WeakMap<Uint8Array, { dialect: Dialect; text: string; file: SqlFile; sums?: Sums }>();
type Sums = Awaited<ReturnType<typeof checksums>>;

/** @throws {AmberError} MIGRATION_MALFORMED */
export function readSql(file: Pick<MigrationFile, "bytes" | "path">, dialect: Dialect): SqlFile {
  return readOnce(file, dialect).file;
}

function readOnce(file: Pick<MigrationFile, "bytes" | "path">, dialect: Dialect) {
  const known = parsed.get(file.bytes);
  if (known?.dialect === dialect) return known;
  const text = decode(file);
  const fresh: { dialect: Dialect; text: string; file: SqlFile; sums?: Sums } = {
    dialect,
    text,
    file: parseSqlFile({ name: file.path, text, dialect }),
  };
  parsed.set(file.bytes, fresh);
  return fresh;
}

async function sumsOf(file: MigrationFile, dialect: Dialect): Promise<Sums> {
  const known = readOnce(file, dialect);
  return known.sums ??= await checksums(known.file.up.statements);
}

async function prepareSql(step: Step, dialect: Dialect): Promise<Prepared> {
  const { migration, row } = step;
  if (!migration) return prepareFromRow(step, dialect);
  const { text, file } = readOnce(migration, dialect);
  const section = step.direction === "up" ? file.up : downSection(step, file);
  const script = makeScript(section, { path: migration.path, text, dialect });
  const reversible = file.down && (file.down.statements.length > 0 || file.up.statements.length === 0);
  return {
    ...step,
    path: migration.path,
    script,
    file: migration,
    atomic: script.atomic && row?.state !== "running" && row?.state !== "reverting",
    risky: !script.additive,
    fingerprint: { rawHash: await sha256(migration.bytes), ...await sumsOf(migration, dialect) },
    downSql: reversible ? sectionText(file.down!) : file.up.statements.length === 0 ? "-- migrate:down\n" : null,
  };
}

/** Undoes what a newer binary did, with the SQL that it left in the history. */
function prepareFromRow(step: Step, dialect: Dialect): Prepared {
  const row = step.row!;
  const path = `the history's row "${step.name}"`;
  if (row.down === null) {
    throw new AmberError("MIGRATION_IRREVERSIBLE", {
      message: `Cannot go back across "${step.name}": there is no file for it here, and the history keeps no way back`,
      where: path,
      hint: "Run the newer version of the app that has the file.",
    });
  }
  const text = `-- migrate:up\n${row.down}`;
  const file = parseSqlFile({ name: path, text, dialect });
  const script = makeScript(file.down ?? { statements: [], rows: [] }, { path, text, dialect });
  return {
    ...step,
    path,
    script,
    atomic: script.atomic && row.state !== "reverting",
    risky: true,
    fingerprint: { rawHash: row.rawHash, checksum: row.checksum, hashes: row.hashes },
    downSql: row.down,
  };
}

function downSection(step: Step, file: SqlFile): SqlFile["up"] {
  const isEmpty = file.up.statements.length === 0;
  if (file.down && (file.down.statements.length > 0 || isEmpty)) return file.down;
  if (isEmpty) return { statements: [], rows: [] };
  const reason = file.irreversible
    ? `: ${file.irreversible}`
    : file.down
    ? ": its down section has no statement"
    : ": it has no down section";
  throw new AmberError("MIGRATION_IRREVERSIBLE", {
    message: `Cannot go back across "${step.name}"${reason}`,
    where: step.migration!.path,
    hint: "Nothing was run. Write a migration that goes forwards instead.",
  });
}

async function prepareCode(step: Step, migration: Migration): Promise<Prepared> {
  const { loadCode } = await import("./code.ts");
  const code = await loadCode(migration);
  if (step.direction === "down" && !code.down) {
    throw new AmberError("MIGRATION_IRREVERSIBLE", {
      message: `Cannot go back across "${step.name}": it exports no function \`down\``,
      where: migration.path,
      hint: "Nothing was run. Write a migration that goes forwards instead.",
    });
  }
  return {
    ...step,
    path: migration.path,
    code,
    file: migration,
    atomic: code.atomic,
    risky: true,
    fingerprint: { rawHash: await sha256(migration.bytes), ...await codeChecksum(migration) },
    downSql: null,
  };
}

async function codeChecksum(file: MigrationFile): Promise<{ checksum: string; hashes: string }> {
  const { codeText } = await import("./code.ts");
  return { checksum: await sha256(codeText(file)), hashes: "" };
}
