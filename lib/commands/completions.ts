import { routes } from "./app.ts";
import { completionScript } from "./completion_scripts.ts";
import { completionTable } from "./completion_table.ts";
import type { AmberContext } from "./context.ts";
import type { Shell } from "./setup_routes.ts";

/** Reads no configuration: a shell that starts somewhere must not stumble over the `.env` that lies there. */
export function run(this: AmberContext, _flags: Record<never, never>, shell: Shell): void {
  this.world.stdout(completionScript(shell, completionTable(routes)));
}
