import { startTalking } from "./talking.ts";

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
  const talking = startTalking("churn.ts");
  return {
    turnTo: async (path, seed) => void await talking.ask(`${seed} ${path}`),
    rest: async () => void await talking.ask("- "),
    kill: talking.kill,
    [Symbol.asyncDispose]: () => Promise.resolve(talking[Symbol.asyncDispose]()),
  };
}
