import type { PostgresAddress } from "../../database_url.ts";
import { type Row, StatementFailure } from "../engine.ts";
import { Connection } from "./connection.ts";

/** What another connection learned of a session that says nothing. */
export type Sighting =
  | { is: "unreachable" } // no answer to a connection attempt
  | { is: "unclear" } // the server answers, and does not say
  | { is: "gone" } // the server has no such session
  | { is: "session"; state: string; waitEvent: string };

/**
 * Whether the session works on, as far as can be seen, for a client that waits for its answer. A session that has
 * nothing to do, or that waits for us to take what it sends, has answered: the answer is lost on the way.
 */
export function worksOn(sighting: Sighting): boolean {
  if (sighting.is === "unreachable" || sighting.is === "gone") return false;
  if (sighting.is === "unclear") return true;
  return sighting.waitEvent !== "ClientWrite" && !sighting.state.startsWith("idle");
}

export interface LivenessOptions {
  /** The server process, when it is known. */
  pid: () => number | undefined;
  /** How long the server may say nothing before it is looked for. */
  silenceMs: number;
}

const connectMs = 5_000; // at most; less when silence is noticed sooner
/** A single bad sighting can be an answer on its way. */
const badSightings = 2;

/**
 * Looks, on a connection of its own, after a server that has been silent for long while we wait for it: a long query is
 * left alone, a network that swallows everything is noticed. The kernel alone needs a quarter of an hour for that, and
 * for ever while nothing is sent.
 */
export class Liveness {
  #waiting = 0;
  #timer?: ReturnType<typeof setInterval>;
  #looking = false;
  #bad = 0;
  #asked = 0;

  constructor(
    private readonly address: PostgresAddress,
    private readonly connection: Connection,
    private readonly options: LivenessOptions,
  ) {}

  /** Looks after the server until `work` has settled. */
  async during<T>(work: Promise<T>): Promise<T> {
    if (this.#waiting++ === 0) this.#start();
    try {
      return await work;
    } finally {
      if (--this.#waiting === 0) clearInterval(this.#timer);
    }
  }

  #start(): void {
    this.#bad = 0;
    this.#asked = performance.now();
    this.#timer = setInterval(() => this.#look(), this.options.silenceMs / 4);
  }

  async #look(): Promise<void> {
    const { connection, options } = this;
    if (this.#looking || connection.isLost) return;
    const heard = Math.max(connection.heardAtMs, this.#asked);
    if (performance.now() - heard < options.silenceMs) {
      this.#bad = 0;
      return;
    }
    this.#looking = true;
    try {
      const sighting = await this.#see(options.pid());
      if (connection.heardAtMs > heard || worksOn(sighting)) this.#bad = 0;
      else if (++this.#bad >= badSightings && this.#waiting > 0) connection.destroy();
    } finally {
      this.#looking = false;
    }
  }

  async #see(pid: number | undefined): Promise<Sighting> {
    let opened: { connection: Connection; rows: Row[] };
    const who = pid === undefined ? "null" : Math.trunc(pid);
    try {
      opened = await Connection.open(this.address, {
        applicationName: "amber watch",
        timeoutMs: Math.min(connectMs, this.options.silenceMs),
        hello: `select state, wait_event from pg_catalog.pg_stat_activity where pid = ${who}`,
      });
    } catch (error) {
      // The server answers, if only to say that it is full.
      return { is: error instanceof StatementFailure ? "unclear" : "unreachable" };
    }
    await opened.connection.close();
    const [row] = opened.rows;
    if (pid === undefined) return { is: "unclear" };
    if (!row) return { is: "gone" };
    return { is: "session", state: String(row.state ?? ""), waitEvent: String(row.wait_event ?? "") };
  }
}
