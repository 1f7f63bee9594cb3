import { AmberError } from "../../../errors.ts";
import { StatementFailure } from "../../engine.ts";
import { readCollations } from "./collations.ts";
import { readRemarks, type Remarks } from "./comments.ts";
import { type Constraints, readConstraints } from "./constraints.ts";
import { readDefaultPrivileges } from "./default_privileges.ts";
import { readDependencies, throughAnnounced } from "./dependencies.ts";
import { readForeignData } from "./foreign_data.ts";
import { changing, type Found } from "./found.ts";
import { readFunctions } from "./functions.ts";
import { readIndexes } from "./indexes.ts";
import { orderNotes } from "./inherited_order.ts";
import { readLanguages } from "./languages.ts";
import { readOperators } from "./operators.ts";
import { readLeftOver } from "./left_over.ts";
import { order } from "./order.ts";
import { readPolicies } from "./policies.ts";
import { readPublications, readStatistics } from "./publications.ts";
import type { Query, Reading } from "./reading.ts";
import { readRelations, type Relation } from "./relations.ts";
import { rightsSql } from "./rights_sql.ts";
import type { DatabaseSchema, SchemaObject } from "./schema_object.ts";
import { readExtensions, readSchemas } from "./schemas.ts";
import { readSequences, type Sequences } from "./sequences.ts";
import { readSystemRights } from "./system_rights.ts";
import { tableDetails } from "./table_details.ts";
import { attachFound, tableFound } from "./tables.ts";
import { readTextSearch } from "./text_search.ts";
import { readTriggers } from "./triggers.ts";
import { readTypes } from "./types.ts";
import { materializedViewFound, viewFound } from "./views.ts";

export type { Query } from "./reading.ts";
export { readSettings } from "./reading.ts";
export * from "./schema_object.ts";

/**
 * Reads all that users made in a database, but for the rows, in the transaction that `query` runs in. That has to be one
 * of REPEATABLE READ, in which readSettings were sent; the tables should be locked, because the server prints
 * definitions as they are, and not as they were when the transaction began. Reads only, and any role may.
 *
 * @throws {AmberError} DATABASE_BUSY when an object vanished meanwhile; DATABASE_FORBIDDEN where a catalog may not be read.
 */
export async function readSchema(query: Query): Promise<DatabaseSchema> {
  return await read(withFirstFailure(query));
}

/** Queries are on their way together; after the first that fails the server refuses the others, which says nothing. */
function withFirstFailure(query: Query): Query {
  let first: unknown;
  return (sql) =>
    query(sql).catch((error) => {
      first ??= inWords(error);
      throw first;
    });
}

function inWords(error: unknown): unknown {
  if (!(error instanceof StatementFailure)) return error;
  // What the server says of an object that is gone since the transaction began.
  if (error.code === "XX000") return changing(error);
  if (error.code !== "42501") return error;
  return new AmberError("DATABASE_FORBIDDEN", {
    message: `Cannot read the schema: ${error.message}`,
    hint: "Every role may read the catalogs, unless that was revoked: let this one read them again.",
    cause: error,
  });
}

async function read(query: Query): Promise<DatabaseSchema> {
  const [settings] = await query(`select current_setting('server_version') as version,
    current_setting('server_version_num')::int as number, current_setting('search_path') as path,
    exists (select from pg_namespace where nspname = 'public') as has_public`);
  if (settings?.path !== "" && settings?.path !== '""') throw new Error("the search_path is not empty: readSettings");
  const number = Number(settings.number);
  const reading: Reading = { query, major: Math.floor(number / 10000) };

  const relations = await readRelations(reading);
  const [constraints, sequences, extensions] = await Promise.all([
    readConstraints(reading),
    readSequences(reading, relations),
    readExtensions(reading),
  ]);
  const [indexes, foreignData, edges, remarks] = await Promise.all([
    readIndexes(reading),
    readForeignData(reading),
    readDependencies(reading),
    readRemarks(reading),
  ]);
  const others = await Promise.all([
    readSchemas(reading),
    readTypes(reading, relations, constraints.domains),
    readFunctions(reading),
    readCollations(reading),
    readLanguages(reading),
    readOperators(reading),
    readTextSearch(reading),
    readStatistics(reading),
    readTriggers(reading),
    readPolicies(reading, relations),
    readPublications(reading),
    readDefaultPrivileges(reading),
    readSystemRights(reading),
  ]);
  const founds = [
    ...others.flat(),
    ...extensions.found,
    ...foreignData.found,
    ...relationFounds(relations, constraints, sequences),
    ...sequences.found,
    ...constraints.found,
    ...indexes.found,
  ].filter(isOfUsers(relations));
  const leftOver = await readLeftOver(reading, founds, edges);
  const { placed, separate, unfilled } = order(founds, throughAnnounced(edges, founds));
  return {
    serverVersion: String(settings.version),
    serverNumber: number,
    extensions: extensions.extensions,
    objects: placed.flatMap(({ found, part, section }) =>
      objectOf(found, { remarks, section, sql: part ? part.later : found.make(separate), separate, part })
    ),
    tables: tableDetails({ relations, constraints, sequences, extensions }),
    sequences: sequences.sequences,
    notes: [
      ...indexes.notes,
      ...foreignData.notes,
      ...leftOver,
      ...orderNotes(relations),
      ...(settings.has_public ? [] : ["schema public is gone; a new database has one"]),
      ...unfilled.map((name) => `materialized view ${name} stays empty: one that it reads is empty`),
    ].sort(),
  };
}

function relationFounds(relations: Map<number, Relation>, constraints: Constraints, sequences: Sequences): Found[] {
  return [...relations.values()].filter(({ extension }) => extension === undefined).flatMap((relation) => {
    if (relation.kind === "v") return [viewFound(relation)];
    if (relation.kind === "m") return materializedViewFound(relation);
    if (relation.kind === "S" || relation.kind === "c") return [];
    const table = tableFound(relation, {
      relations,
      checks: constraints.checks.get(relation.oid) ?? [],
      notNulls: constraints.notNulls,
      areNotNullsObjects: constraints.areNotNullsObjects,
      identities: sequences.identities.get(relation.oid) ?? new Map(),
    });
    return relation.isPartition ? [table, attachFound(relation, relations)] : [table];
  });
}

/** What stands on a table of an extension comes with the extension. */
function isOfUsers(relations: Map<number, Relation>): (found: Found) => boolean {
  const foreign = new Set([...relations.values()].filter((one) => one.extension !== undefined).map(({ name }) => name));
  return ({ table }) => table === undefined || !foreign.has(table);
}

interface Making {
  remarks: Remarks;
  section: SchemaObject["section"];
  sql: string;
  separate: ReadonlySet<string>;
  part?: NonNullable<Found["parts"]>[number];
}

function objectOf(found: Found, { remarks, section, sql, separate, part }: Making): SchemaObject[] {
  const statements = [sql, ...remarks.of(found, separate, part)].filter(Boolean).join("\n");
  const grants = part ? [] : found.rightsStatements ?? (found.rights ? rightsSql(found.rights) : []);
  const object: SchemaObject = {
    kind: part?.kind ?? found.kind,
    name: part?.name ?? found.name,
    sql: statements,
    section,
    ...(found.owner && !part ? { owner: found.owner } : {}),
    ...(grants.length > 0 ? { grants: grants.join("\n") } : {}),
    ...(found.table === undefined ? {} : { table: found.table }),
  };
  // `public` as it is everywhere, an identity's sequence: nothing to say.
  return object.sql === "" && object.owner === undefined && object.grants === undefined ? [] : [object];
}
