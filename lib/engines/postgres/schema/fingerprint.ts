import { createHash } from "node:crypto";
import type { SchemaObject } from "./schema_object.ts";

/** One object as two hashes of 16 hex digits. */
export interface ObjectPrint {
  kind: string;
  name: string;
  /** Of what it is: its statements, comments with them. */
  structure: string;
  /** Of whose it is and who may do what. */
  rights: string;
}

/** All objects, and both hashes over all of them. */
export interface SchemaFingerprint {
  objects: ObjectPrint[]; // by kind and name
  structure: string;
  rights: string;
}

export interface ObjectName {
  kind: string;
  name: string;
}

/** How two schemas differ. Objects of the same kind and name are one object. */
export interface SchemaDifference {
  onlyHere: ObjectName[];
  onlyThere: ObjectName[];
  /** They are something else. */
  structure: ObjectName[];
  /** They are the same, with other owners or rights. */
  rights: ObjectName[];
}

/** The fingerprint of what was read. Whether a materialized view is filled is no part of it: that is data. */
export function fingerprint(objects: readonly SchemaObject[]): SchemaFingerprint {
  const prints = objects.filter(({ kind }) => kind !== "refresh").map((object): ObjectPrint => ({
    kind: object.kind,
    name: object.name,
    structure: hash(object.sql),
    // In which order rights were given makes no difference.
    rights: hash([object.owner ?? "", ...(object.grants ?? "").split("\n").sort()].join("\n")),
  })).sort((a, b) => compare(keyOf(a), keyOf(b)));
  const total = (of: "structure" | "rights") => hash(prints.map((print) => `${keyOf(print)} ${print[of]}\n`).join(""));
  return { objects: prints, structure: total("structure"), rights: total("rights") };
}

/** Names what is only in one of two schemas, and what differs. */
export function compareFingerprints(here: SchemaFingerprint, there: SchemaFingerprint): SchemaDifference {
  const other = new Map(there.objects.map((print) => [keyOf(print), print]));
  const difference: SchemaDifference = { onlyHere: [], onlyThere: [], structure: [], rights: [] };
  for (const print of here.objects) {
    const { kind, name } = print;
    const same = other.get(keyOf(print));
    other.delete(keyOf(print));
    if (!same) difference.onlyHere.push({ kind, name });
    else if (same.structure !== print.structure) difference.structure.push({ kind, name });
    else if (same.rights !== print.rights) difference.rights.push({ kind, name });
  }
  difference.onlyThere.push(...[...other.values()].map(({ kind, name }) => ({ kind, name })));
  return difference;
}

function keyOf({ kind, name }: ObjectName): string {
  return `${kind} ${name}`;
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function hash(text: string): string {
  return createHash("sha256").update(text).digest("hex").slice(0, 16);
}
