import { formatBytes } from "../bytes.ts";
import type { SchemaChange } from "../capture/postgres/schema_changes.ts";
import { postgresPrefix } from "../repository/postgres_prefix.ts";
import type { ListedEntry } from "../stories/list_files.ts";
import type { Difference, Side, TableChange } from "../stories/diff.ts";
import { printable } from "./table.ts";

/** `2026-11-24 11:48`, UTC. */
export function timeText(iso: string): string {
  return iso.slice(0, 16).replace("T", " ");
}

/** `1,234,567`. As toLocaleString("en") would give it, whose first call takes 50 ms. */
export function numberText(count: number): string {
  return String(count).replace(/\B(?=(\d{3})+$)/g, ",");
}

/** `5,003 files`, `1 file`. */
export function countText(count: number, noun: string): string {
  return `${numberText(count)} ${noun}${count === 1 ? "" : "s"}`;
}

/** Permission bits as `ls -l` shows them: `drwxr-xr-x`. */
export function modeText(mode: number, kind: ListedEntry["kind"]): string {
  const letter = (bit: number, name: string) => (mode & bit ? name : "-");
  const special = (bit: number, execute: number, name: string) =>
    mode & bit ? (mode & execute ? name : name.toUpperCase()) : letter(execute, "x");
  return [
    { folder: "d", link: "l", file: "-", hardlink: "-" }[kind],
    ...[letter(0o400, "r"), letter(0o200, "w"), special(0o4000, 0o100, "s")],
    ...[letter(0o040, "r"), letter(0o020, "w"), special(0o2000, 0o010, "s")],
    ...[letter(0o004, "r"), letter(0o002, "w"), special(0o1000, 0o001, "t")],
  ].join("");
}

/** A line of `amber ls`; for a database the tables with their rows below it. */
export function entryText({ path, kind, mode, mtime, size, target, database }: ListedEntry): string {
  const head = `${modeText(mode, kind)}  ${(size === undefined ? "" : String(size)).padStart(12)}  ${
    timeText(mtime)
  }  `;
  const name = printable(kind === "folder" ? `${path}/` : path);
  const more = kind === "link"
    ? ` -> ${printable(target ?? "")}`
    : kind === "hardlink"
    ? `  (the same file as ${printable(target ?? "")})`
    : "";
  if (!database) return `${head}${name}${more}`;
  const { rows, configured, migrations } = database;
  const facts = [
    configured ? "the database" : "a database",
    ...(migrations ? [`migration ${printable(migrations.last)}`] : []),
  ];
  const tables = Object.entries(rows);
  const width = Math.max(...tables.map(([table]) => printable(table).length), 0);
  return [
    `${head}${name}  (${facts.join(", ")})`,
    ...tables.map(([table, count]) =>
      `${" ".repeat(head.length + 2)}${printable(table).padEnd(width)}  ${countText(count, "row")}`
    ),
  ].join("\n");
}

const marks = { new: "+", gone: "-", changed: "M", attributes: "m" } as const;

/** A line of `amber diff`; for a database the tables below it, of Postgres other objects too. */
export function differenceText({ path, change, before, after, tables, objects, parts }: Difference): string {
  const side = after ?? before;
  const name = printable(side?.kind === "folder" ? `${path}/` : path);
  const facts = path === postgresPrefix ? "the Postgres database" : changeText(before, after);
  return [
    `${marks[change]} ${name}${facts === "" ? "" : `  ${facts}`}`,
    ...[...(objects ?? []).map(objectText), ...(tables ?? []).map(tableText), ...(parts ?? []).map(partText)]
      .map((text) => `      ${text}`),
  ].join("\n");
}

function objectText({ kind, name, change }: SchemaChange): string {
  const what = change === "attributes" ? "owner or rights changed" : change;
  return `${printable(kind)} ${printable(name)}  ${what}`;
}

function partText(part: NonNullable<Difference["parts"]>[number]): string {
  return `${part === "sequences" ? "sequences" : "large objects"}  changed`;
}

function changeText(before: Side | undefined, after: Side | undefined): string {
  if (!before || !after) {
    const size = (before ?? after)?.size;
    return size === undefined ? "" : formatBytes(size);
  }
  if (before.kind !== after.kind) return `${before.kind} → ${after.kind}`;
  return [
    ...(before.size === after.size ? [] : [`${formatBytes(before.size ?? 0)} → ${formatBytes(after.size ?? 0)}`]),
    ...(before.target === after.target
      ? []
      : [`-> ${printable(before.target ?? "")} → -> ${printable(after.target ?? "")}`]),
    ...(before.mode === after.mode
      ? []
      : [`${modeText(before.mode, before.kind)} → ${modeText(after.mode, after.kind)}`]),
  ].join(", ");
}

function tableText({ table, before, after }: TableChange): string {
  const name = printable(table);
  if (before === undefined) return `${name}  new, ${countText(after ?? 0, "row")}`;
  if (after === undefined) return `${name}  gone, it had ${countText(before, "row")}`;
  if (before === after) return `${name}  ${countText(after, "row")}, not the same ones`;
  const change = after - before;
  return `${name}  ${numberText(before)} → ${countText(after, "row")} (${change > 0 ? "+" : "−"}${
    numberText(Math.abs(change))
  })`;
}
