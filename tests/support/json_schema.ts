/**
 * Lines of `--json` beside the schemas in tests/schemas, judged by Ajv. Run as a program, this file judges what stands on
 * stdin, without a lock: the package is for tests alone, and no clone should download it in order to migrate.
 */
import { join } from "node:path";
import { command, type JsonLine, projectFolder } from "./command.ts";

export const schemaFolder = join(projectFolder, "tests", "schemas");

/** A line, and which command has written it. */
export interface WrittenLine {
  command: string;
  line: JsonLine;
}

export interface Judgement {
  /** Which kind of line it is: `result of migrate --plan`, `note`. Absent: none of the command's. */
  kind?: string;
  /** Why it is none, a line for each reason. */
  complaint?: string;
}

/** A part of a schema, as far as it is read here. */
export interface Schema {
  $ref?: string;
  $defs?: Record<string, Schema>;
  title?: string;
  description?: string;
  type?: string;
  const?: unknown;
  enum?: string[];
  items?: Schema;
  properties?: Record<string, Schema>;
  required?: string[];
  additionalProperties?: Schema | false;
  allOf?: Schema[];
  oneOf?: Schema[];
}

/** Every schema, by the name of its file without ending. */
export function readSchemas(): Map<string, Schema> {
  const names = [...Deno.readDirSync(schemaFolder)].map(({ name }) => name.replace(/\.json$/, "")).sort();
  return new Map(names.map((name) => [name, JSON.parse(Deno.readTextFileSync(join(schemaFolder, `${name}.json`)))]));
}

/** The schema that is meant by `#/$defs/x` or `events.json#/$defs/x`, from within the schema of this name. */
export function follow(schemas: ReadonlyMap<string, Schema>, from: string, reference: string): Schema {
  const [, file, name] = /^(?:([a-z]+)\.json)?#\/\$defs\/(.+)$/.exec(reference) ?? [];
  const found = name && schemas.get(file ?? from)?.$defs?.[decodeURIComponent(name)];
  if (!found) throw new Error(`Nothing is at ${reference}, seen from ${from}.json`);
  return found;
}

/** What a schema's kind of line is called. */
export function kindOf(schema: Schema): string {
  const type = String(schema.properties?.type?.const);
  return schema.title === undefined ? type : `${type} of ${schema.title}`;
}

/** Judges each line, in order. */
export async function judge(lines: readonly WrittenLine[]): Promise<Judgement[]> {
  const args = ["run", "-A", "--quiet", "--no-config", "--no-lock", import.meta.filename!];
  const { code, stdout, stderr } = await command(Deno.execPath(), args, {
    cwd: projectFolder,
    stdin: JSON.stringify(lines),
  });
  if (code !== 0) throw new Error(`Cannot judge lines of JSON\n${stderr}`);
  return JSON.parse(stdout);
}

interface Problem {
  instancePath: string;
  message?: string;
  params: Record<string, unknown>;
}

interface Validator {
  (value: unknown): boolean;
  errors?: Problem[] | null;
}

if (import.meta.main) {
  // Not a literal: checking the types of this file must not download the package.
  const specifier = "npm:ajv@8.20.0/dist/2020.js";
  const { Ajv2020 } = await import(specifier);
  const ajv = new Ajv2020({ strict: true, allErrors: true });
  const schemas = readSchemas();
  for (const [name, schema] of schemas) ajv.addSchema(schema, `${name}.json`);
  const at = (reference: string): Validator => ajv.getSchema(reference);
  const kinds = ({ command }: WrittenLine) =>
    schemas.get(command)!.oneOf!.map((one, i) => ({
      schema: one.$ref === undefined ? one : follow(schemas, command, one.$ref),
      judge: at(`${command}.json#/oneOf/${i}`),
    }));
  const judged = (written: WrittenLine): Judgement => {
    const { command, line } = written;
    if (at(`${command}.json`)(line)) {
      return { kind: kindOf(kinds(written).find((one) => one.judge(line))!.schema) };
    }
    // Of the kinds that it could be, the one that it is nearest to.
    const near = kinds(written).filter(({ schema }) => schema.properties?.type?.const === line.type)
      .map((one) => (one.judge(line), one.judge.errors ?? [])).sort((a, b) => a.length - b.length)[0];
    const told = near?.map(({ instancePath, message, params }) =>
      `${instancePath} ${message} ${JSON.stringify(params)}`
    );
    return {
      complaint: [`amber ${command}: ${JSON.stringify(line)}`, ...told ?? ["a type that it has not"]].join("\n  "),
    };
  };
  const lines: WrittenLine[] = JSON.parse(await new Response(Deno.stdin.readable).text());
  console.log(JSON.stringify(lines.map(judged)));
}
