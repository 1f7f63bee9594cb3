import { join } from "node:path";

/** A script of this folder in a process of its own, which answers each line of its stdin with one line. */
export interface Talking extends AsyncDisposable {
  ask(line: string): Promise<string>;
  /** As a power cut would end it. */
  kill(): Promise<void>;
}

export function startTalking(script: string, args: string[] = []): Talking {
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--quiet", "--no-check", join(import.meta.dirname!, script), ...args],
    stdin: "piped",
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  const stdin = child.stdin.getWriter();
  const stdout = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  let isEnded = false;
  let rest = "";
  const end = async (how: () => Promise<unknown>) => {
    if (isEnded) return;
    isEnded = true;
    await how().catch(() => {}); // it may have ended by itself
    await stdout.cancel();
    await child.status;
  };
  return {
    async ask(line) {
      await stdin.write(new TextEncoder().encode(`${line}\n`));
      while (!rest.includes("\n")) {
        const { value, done } = await stdout.read();
        if (done) throw new Error(`${script} ended before it answered "${line}"`);
        rest += value;
      }
      const answer = rest.slice(0, rest.indexOf("\n"));
      rest = rest.slice(answer.length + 1);
      return answer;
    },
    kill: () =>
      end(async () => {
        child.kill("SIGKILL");
        await stdin.abort();
      }),
    [Symbol.asyncDispose]: () => end(() => stdin.close()),
  };
}

/** A process that wants write locks: see locker.ts. */
export class Locker implements AsyncDisposable {
  readonly #talking: Talking;

  constructor(...paths: string[]) {
    this.#talking = startTalking("locker.ts", paths);
  }

  async #ask<T>(word: string, index: number): Promise<T> {
    return JSON.parse(await this.#talking.ask(`${word} ${index}`));
  }

  /** Whether the lock could be had now. */
  async gets(index = 0): Promise<boolean> {
    return await this.#ask("try", index) === "got";
  }

  async hold(index = 0): Promise<void> {
    await this.#ask("hold", index);
  }

  async free(index = 0): Promise<void> {
    await this.#ask("free", index);
  }

  /** Wants it again and again, until `calm()` tells how often it was got, and the longest time in between. */
  async hammer(index = 0): Promise<void> {
    await this.#ask("hammer", index);
  }

  async calm(): Promise<{ got: number; longestMs: number }> {
    return await this.#ask("calm", 0);
  }

  /** Adds 1 in each database, one after the other, until `still()` tells how long each commit took, in ms. */
  async move(from = 0): Promise<void> {
    await this.#ask("move", from);
  }

  async still(): Promise<number[]> {
    return await this.#ask("still", 0);
  }

  /** Adds 1 in the first and in the second database, in one commit, again and again. */
  async pair(): Promise<void> {
    await this.#ask("pair", 0);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return Promise.resolve(this.#talking[Symbol.asyncDispose]());
  }
}
