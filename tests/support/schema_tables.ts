/** The schemas in tests/schemas as the tables of README: each field with its shape and unit, in a line for each type. */
import { follow, type Schema } from "./json_schema.ts";

/** What stands in a row's cells: the first names the row. */
export type Cells = [name: string, fields: string, meaning?: string];

type Schemas = ReadonlyMap<string, Schema>;

/** Files that are no command's. */
export const sharedSchemas = ["events", "types"];

/** Lines on the way, and the error. */
export function eventRows(schemas: Schemas): Cells[] {
  const events = Object.entries(schemas.get("events")!.$defs!).map(([name, schema]): Cells => [
    code(name),
    fieldsText(schema),
    schema.description ?? "",
  ]);
  return [...events, ...ownRows(schemas, (type) => type !== "result")];
}

/** What commands end with. */
export function resultRows(schemas: Schemas): Cells[] {
  return ownRows(schemas, (type) => type === "result").map(([, fields, title]) => [code(title!), fields]);
}

/** What fields are made of. */
export function shapeRows(schemas: Schemas): Cells[] {
  return Object.entries(schemas.get("types")!.$defs!).map(([name, schema]) => [
    code(name),
    schema.properties ? fieldsText(schema) : schema.description!,
    schema.properties ? schema.description! : "",
  ]);
}

/** Of each command's own lines: type, fields, title. */
function ownRows(schemas: Schemas, isWanted: (type: string) => boolean): Cells[] {
  return [...schemas].filter(([name]) => !sharedSchemas.includes(name)).flatMap(([command, schema]) =>
    schema.oneOf!.filter(({ $ref }) => $ref === undefined).flatMap((one): Cells[] => {
      const type = String(one.properties!.type!.const);
      if (!isWanted(type)) return [];
      const shared = one.allOf?.[0]?.$ref;
      const fields = shared === undefined
        ? fieldsText(one)
        : shared.startsWith("#")
        ? fieldsText(follow(schemas, command, shared))
        : `the fields of ${code(shared.replace(/\.json.*/, ""))} below`;
      return type === "result" ? [[type, fields, one.title!]] : [[code(type), fields, `of ${code(one.title!)}`]];
    })
  );
}

/** `` `id: id`, `tags: text[]`, `parent?: hash` ``; without a shape it is text. */
function fieldsText({ properties = {}, required = [] }: Schema): string {
  return Object.entries(properties).filter(([name]) => name !== "type" || properties.type!.const === undefined)
    .map(([name, schema]) => {
      const shape = shapeText(schema);
      return code(`${name}${required.includes(name) ? "" : "?"}${shape === "text" ? "" : `: ${shape}`}`);
    }).join(", ");
}

function shapeText(schema: Schema): string {
  if (schema.$ref !== undefined) return schema.$ref.replace(/.*\//, "");
  if (schema.const !== undefined) return String(schema.const);
  if (schema.enum) return schema.enum.join("/");
  if (schema.items) return `${shapeText(schema.items)}[]`;
  if (schema.additionalProperties) return `map of ${shapeText(schema.additionalProperties)}`;
  return "text";
}

function code(text: string): string {
  return `\`${text}\``;
}

/** The tables below a heading of a Markdown text: rows of trimmed cells, without heading and rule. */
export function tablesBelow(markdown: string, heading: string): string[][][] {
  const [, section = ""] = markdown.split(new RegExp(`^${heading}$`, "m"));
  const tables = section.split(/^#+ /m)[0]!.match(/(?:^\|.*\|\n)+/gm) ?? [];
  return tables.map((table) =>
    table.trim().split("\n").slice(2).map((line) => line.slice(1, -1).split("|").map((cell) => cell.trim()))
  );
}

/** A table as README has it, for `deno fmt` to align. */
export function tableText(headings: readonly string[], rows: readonly (readonly string[])[]): string {
  const lines = [headings, headings.map(() => "---"), ...rows];
  return lines.map((cells) => `| ${cells.join(" | ")} |\n`).join("");
}
