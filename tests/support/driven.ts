/** Which amber a test drives: the compiled one in tests/e2e/, the source elsewhere. */
import { join } from "node:path";

export const projectFolder = join(import.meta.dirname!, "..", "..");

/**
 * The binary to run instead of the source: AMBER_TEST_BINARY for all tests; for those of tests/e2e/ the one that
 * tests/run.ts has made and names in AMBER_TEST_E2E_BINARY.
 */
export function drivenBinary(): string | undefined {
  const isEndToEnd = Deno.mainModule.includes("/tests/e2e/");
  return Deno.env.get("AMBER_TEST_BINARY") || (isEndToEnd && Deno.env.get("AMBER_TEST_E2E_BINARY")) || undefined;
}

/** Program and arguments that amber's own arguments follow, for a shell or another program that runs it. */
export function amberProgram(): [string, ...string[]] {
  const binary = drivenBinary();
  return binary ? [binary] : [Deno.execPath(), ...sourceArgs(projectFolder)];
}

/** What Deno is told to run amber's source. */
export function sourceArgs(folder: string): string[] {
  return ["run", "-A", "--quiet", "--config", join(folder, "deno.json"), join(folder, "cli.ts")];
}
