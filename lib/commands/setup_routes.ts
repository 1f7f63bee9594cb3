import { buildCommand } from "@stricli/core";
import type { AmberContext, CommonFlags } from "./context.ts";
import { commonAliases, commonFlags, described, type PlanFlags, planFlags } from "./flags.ts";

export const init = buildCommand<CommonFlags & PlanFlags, [], AmberContext>({
  loader: async () => (await import("./init.ts")).run,
  parameters: { flags: { ...planFlags, ...commonFlags }, aliases: commonAliases },
  docs: described(
    "Begin: a first migration, .env.example and a Dockerfile",
    "Writes what is missing in this folder, and overwrites nothing.",
    "amber init && amber migrate && amber snapshot",
  ),
});
