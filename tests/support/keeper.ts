/**
 * Starts and stops the servers that tests need. Between the test and the server stands a small shell, the keeper: it
 * does what it is told on its standard input, and when that ends, because the test is done or was killed in any way,
 * it stops the server and removes the folder. So no server outlives a test.
 */
import { join } from "node:path";
import { tempBase, type User } from "./user.ts";

// $1 is the folder, $2 the signal that ends the server for good. Each line of input is evaluated and answered with its
// status. `sleep` runs in the foreground before each `kill -0`, so that the shell has reaped a server that ended.
// What a shell starts in the background ignores INT and QUIT until it says otherwise itself, as both servers do.
const script = `
folder=$1 last=$2 server=
trap '' HUP INT QUIT TERM PIPE
start() { (trap - HUP INT QUIT TERM PIPE; exec "$@" </dev/null 3>&-) & server=$!; }
alive() { sleep 0.02; [ -n "$server" ] && kill -0 "$server" 2>/dev/null; }
family() { echo "$server"; cat "/proc/$server/task/$server/children" 2>/dev/null; }
stop() {
  [ -n "$server" ] || return 0
  kill -CONT $(family) 2>/dev/null
  kill "-$1" "$server" 2>/dev/null
  tries=0
  while alive; do
    tries=$((tries + 1))
    [ "$tries" -lt 750 ] || kill -KILL "$server"
  done
  server=
}
exec 3>&1
while IFS= read -r line; do
  eval "$line" >>"$folder/log" 2>&1
  echo "$? $server" >&3
done
stop "$last" >>"$folder/log" 2>&1
rm -rf "$folder"
`;

export class Keeper implements AsyncDisposable {
  readonly folder: string; // belongs to the keeper's user; others may look into it
  readonly logFile: string;
  #child: Deno.ChildProcess;
  #input: WritableStreamDefaultWriter<Uint8Array>;
  #replies: ReadableStreamDefaultReader<string>;
  #unread = "";
  #turn: Promise<unknown> = Promise.resolve();
  #asked = 0; // questions without an answer yet
  #closed: Promise<void> | undefined;

  private constructor(folder: string, child: Deno.ChildProcess) {
    this.folder = folder;
    this.logFile = join(folder, "log");
    this.#child = child;
    this.#input = child.stdin.getWriter();
    this.#replies = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
    // A process that forgets its server still ends, and the end of its pipe ends the server.
    child.unref();
  }

  /**
   * @param options.name Start of the folder's name, short: the folder holds unix sockets.
   * @param options.user Who runs the keeper and all that it starts; without it, the one who runs the tests.
   * @param options.lastSignal What ends the server when the keeper is closed: "QUIT", "TERM", …
   */
  static async open(options: { name: string; user: User | undefined; lastSignal: string }): Promise<Keeper> {
    const { name, user, lastSignal } = options;
    const folder = await Deno.makeTempDir({ dir: tempBase(), prefix: `amber-${name}-` });
    await Deno.chmod(folder, 0o755);
    if (user) await Deno.chown(folder, user.uid, user.gid);
    const child = new Deno.Command("/bin/sh", {
      args: ["-c", script, "keeper", folder, lastSignal],
      cwd: "/",
      // LC_ALL: messages in English, and no locale that the machine lacks.
      clearEnv: true,
      env: { PATH: Deno.env.get("PATH") ?? "/usr/bin:/bin", LC_ALL: "C" },
      stdin: "piped",
      stdout: "piped",
      stderr: "null",
      // A session of its own: Ctrl+C and a kill of the test's process group miss it, the closing pipe does not.
      detached: true,
      ...(user ? { uid: user.uid, gid: user.gid } : {}),
    }).spawn();
    return new Keeper(folder, child);
  }

  /** Runs a program to its end. Its output goes to the log. @throws {Error} with the log's end when it fails. */
  async run(...command: string[]): Promise<void> {
    const { status } = await this.#ask(command.map(quote).join(" "));
    if (status !== 0) throw new Error(`${command[0]} ended with status ${status}\n${this.logEnd()}`);
  }

  /** Starts the server in the background; only one at a time. Its output goes to the log. */
  async start(...command: string[]): Promise<{ pid: number }> {
    const { pid } = await this.#ask(`start ${command.map(quote).join(" ")}`);
    return { pid };
  }

  /** Whether the server runs. Takes 20 ms, so a loop around it needs no sleeping. */
  async isAlive(): Promise<boolean> {
    return (await this.#ask("alive")).status === 0;
  }

  /** Stops the server, by SIGKILL when the signal has not helped after 15 s. The folder stays. */
  async stop(signal: string): Promise<void> {
    await this.#ask(`stop ${signal}`);
  }

  /** The log's last lines, for messages. */
  logEnd(lines = 15): string {
    try {
      return Deno.readTextFileSync(this.logFile).trimEnd().split("\n").slice(-lines).join("\n");
    } catch {
      return "";
    }
  }

  /** Stops the server and removes the folder. */
  close(): Promise<void> {
    this.#closed ??= (async () => {
      this.#child.ref();
      await this.#turn;
      await this.#input.close();
      await this.#child.status;
      await this.#replies.cancel();
    })();
    return this.#closed;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #ask(line: string): Promise<{ status: number; pid: number }> {
    if (this.#asked++ === 0) this.#child.ref();
    const reply = this.#turn.then(async () => {
      await this.#input.write(new TextEncoder().encode(line + "\n"));
      while (!this.#unread.includes("\n")) {
        const { value, done } = await this.#replies.read();
        if (done) throw new Error(`The keeper of ${this.folder} ended\n${this.logEnd()}`);
        this.#unread += value;
      }
      const end = this.#unread.indexOf("\n");
      const [status, pid] = this.#unread.slice(0, end).split(" ");
      this.#unread = this.#unread.slice(end + 1);
      return { status: Number(status), pid: Number(pid) };
    });
    this.#turn = reply.catch(() => {}).then(() => {
      if (--this.#asked === 0) this.#child.unref();
    });
    return reply;
  }
}

/** One word for the shell. A line break would end the keeper's line of input. */
function quote(word: string): string {
  if (word.includes("\n")) throw new Error("The keeper takes commands of one line");
  return `'${word.replaceAll("'", `'\\''`)}'`;
}

/** A port of 127.0.0.1 that is free now. Somebody may take it before it is used: try again then. */
export function freePort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return listener.addr.port;
}
