import { buildCommand } from "@stricli/core";
import type { AmberContext, CommonFlags } from "./context.ts";
import { commonAliases, commonFlags, described, type PlanFlags, planFlags } from "./flags.ts";

const shells = ["bash", "zsh", "fish"] as const;
export type Shell = (typeof shells)[number];

export const init = buildCommand<CommonFlags & PlanFlags, [], AmberContext>({
  loader: async () => (await import("./init.ts")).run,
  parameters: { flags: { ...planFlags, ...commonFlags }, aliases: commonAliases },
  docs: described(
    "Begin: a first migration, .env.example and a Dockerfile",
    "Writes what is missing in this folder, and overwrites nothing.",
    "amber init && amber migrate && amber snapshot",
  ),
});

export const completions = buildCommand<Record<never, never>, [Shell], AmberContext>({
  loader: async () => (await import("./completions.ts")).run,
  parameters: {
    flags: {},
    positional: { kind: "tuple", parameters: [{ brief: shells.join(", "), parse: parseShell, placeholder: "SHELL" }] },
  },
  docs: described(
    "Print a script that completes commands and flags: bash, zsh, fish",
    "Where it goes stands in its first lines.",
    'eval "$(amber completions bash)"',
  ),
});

function parseShell(text: string): Shell {
  const shell = shells.find((name) => name === text);
  if (shell === undefined) throw new SyntaxError(`"${text}" is none of ${shells.join(", ")}`);
  return shell;
}
