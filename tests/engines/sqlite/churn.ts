/**
 * A process that changes databases at random: transactions small and big, rolled back too, vacuum, checkpoints of all
 * kinds, readers that stay. It works on the database that a line of stdin names (`SEED PATH`, `- ` for none), and
 * answers with a line once it has turned to it.
 */
import { DatabaseSync } from "node:sqlite";
import { type Random, random } from "../../support/random.ts";

const mostBytes = 700_000;

class Churn {
  readonly #database: DatabaseSync;
  readonly #random: Random;
  readonly #pageSize: number;
  readonly #mostReaders: number;
  #readers: DatabaseSync[] = [];

  constructor(private readonly path: string, seed: number) {
    this.#random = random(seed);
    this.#database = new DatabaseSync(path, { timeout: 30 });
    this.#pageSize = Number(this.#ask("page_size"));
    this.#mostReaders = this.#random.pick([0, 0, 1, 6]); // with six not every one has a mark of its own
    const cache = this.#random.pick([3, 10, 100, 2_000]); // small ones spill into the log before the commit
    this.#database.exec(`pragma synchronous = off; pragma cache_size = ${cache}`);
  }

  step(): void {
    const { int, chance, pick } = this.#random;
    try {
      if (chance(0.02)) this.#database.exec(`pragma wal_autocheckpoint = ${pick([0, 1, 5, 50, 1_000])}`);
      if (chance(0.1)) this.#read();
      if (chance(0.15)) return this.#checkpoint();
      if (this.#bytes() > mostBytes + 24 * this.#pageSize) return this.#shrink();
      if (chance(0.02)) return this.#database.exec("vacuum");
      if (chance(0.08)) return this.#database.exec(`pragma incremental_vacuum(${int(1, 20)})`);
      if (chance(0.03)) return this.#reshape();
      this.#database.exec("begin immediate");
      for (let left = chance(0.1) ? int(20, 60) : int(1, 4); left > 0; left--) this.#change();
      this.#database.exec(chance(0.15) ? "rollback" : "commit");
    } catch (error) {
      if (this.#database.isTransaction) this.#database.exec("rollback");
      if (!/locked|no such table|already exists/.test((error as Error).message)) throw error;
    }
  }

  close(): void {
    for (const reader of this.#readers) reader.close();
    this.#database.close();
  }

  #change(): void {
    const { int, chance } = this.#random;
    const size = chance(0.2) ? int(0, 3 * this.#pageSize) : int(0, 200);
    const [{ low, high }] = this.#database.prepare(
      "select coalesce(min(id), 0) as low, coalesce(max(id), 0) as high from t",
    )
      .all() as [{ low: number; high: number }];
    const id = int(low, Math.max(low, high));
    const what = this.#random.pick(["insert", "insert", "update", "delete"]);
    if (what === "insert") this.#database.exec(`insert into t (body) values (randomblob(${Math.min(size, 40_000)}))`);
    else if (what === "update") {
      this.#database.exec(
        `update t set body = randomblob(${int(0, 300)}) where id between ${id} and ${id + int(0, 9)}`,
      );
    } else this.#database.exec(`delete from t where id between ${id} and ${id + int(0, 12)}`);
  }

  #shrink(): void {
    this.#database.exec(`delete from t where id % ${this.#random.pick([1, 2, 3])} = 0`);
    if (this.#random.chance(0.5)) this.#database.exec("vacuum");
  }

  #reshape(): void {
    const name = `extra_${this.#random.int(1, 3)}`;
    this.#database.exec(
      this.#random.chance(0.5)
        ? `create table ${name} as select id, body from t limit 20; create index ${name}_body on ${name} (body)`
        : `drop table ${name}`,
    );
  }

  #checkpoint(): void {
    this.#database.exec(
      `pragma wal_checkpoint(${this.#random.pick(["passive", "passive", "full", "restart", "truncate"])})`,
    );
  }

  /** Begins or ends somebody's long reading. */
  #read(): void {
    if (this.#readers.length > 0 && this.#random.chance(0.55)) {
      this.#readers.splice(this.#random.int(0, this.#readers.length - 1), 1)[0]!.close();
    } else if (this.#readers.length < this.#mostReaders) {
      const reader = new DatabaseSync(this.path, { timeout: 30 });
      this.#readers.push(reader);
      reader.exec("begin; select count(*) from t");
    }
  }

  #bytes(): number {
    return Number(this.#ask("page_count")) * this.#pageSize;
  }

  #ask(pragma: string): unknown {
    return Object.values(this.#database.prepare(`pragma ${pragma}`).get()!)[0];
  }
}

let churn: Churn | undefined;
let isEnded = false;

const work = async () => {
  while (!isEnded) {
    if (churn) {
      for (let steps = 0; steps < 3; steps++) churn.step();
    }
    // Also lets in what stdin says, and others write.
    await new Promise((resolve) => setTimeout(resolve, churn ? 0 : 5));
  }
  churn?.close();
};

const listen = async () => {
  let rest = "";
  for await (const text of Deno.stdin.readable.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + text).split("\n");
    rest = lines.pop()!;
    for (const line of lines) {
      const [, seed, path] = /^(\S+) (.*)$/.exec(line)!;
      churn?.close();
      churn = seed === "-" ? undefined : new Churn(path!, Number(seed));
      console.log(line);
    }
  }
  isEnded = true;
};

await Promise.all([work(), listen()]);
