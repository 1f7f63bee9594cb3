import { join } from "node:path";

/** A process that changes a database at random: see churn.ts. */
export interface Churner extends AsyncDisposable {
  /** Leaves the database that it was at and begins with this one. */
  turnTo(path: string, seed: number): Promise<void>;
  /** Closes the database that it was at. */
  rest(): Promise<void>;
  /** As a power cut would end it. */
  kill(): Promise<void>;
}

export function startChurner(): Churner {
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--quiet", "--no-check", join(import.meta.dirname!, "churn.ts")],
    stdin: "piped",
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  const stdin = child.stdin.getWriter();
  const lines = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  let isEnded = false;
  let rest = "";
  const say = async (line: string) => {
    await stdin.write(new TextEncoder().encode(`${line}\n`));
    while (!rest.includes("\n")) {
      const { value, done } = await lines.read();
      if (done) throw new Error(`The writer ended before it turned to "${line}"`);
      rest += value;
    }
    rest = rest.slice(rest.indexOf("\n") + 1);
  };
  const end = async (how: () => void | Promise<void>) => {
    if (isEnded) return;
    isEnded = true;
    await how();
    await lines.cancel();
    await child.status;
  };
  return {
    turnTo: (path, seed) => say(`${seed} ${path}`),
    rest: () => say("- "),
    kill: () =>
      end(async () => {
        child.kill("SIGKILL");
        await stdin.abort().catch(() => {});
      }),
    [Symbol.asyncDispose]: () => end(() => stdin.close().catch(() => {})),
  };
}
