/** How long a program takes and how much memory it has at its peak. */
import { command, type CommandOptions, type CommandResult } from "./command.ts";
import { amberProgram } from "./driven.ts";

export interface Measured {
  result: CommandResult;
  seconds: number;
  /** Largest resident set of the program and its children. */
  peakMB: number;
}

// What `/usr/bin/time -v` tells, where there is only python3.
const wrapper = `
import resource, subprocess, sys, time
started = time.monotonic()
code = subprocess.run(sys.argv[1:]).returncode
peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
print(f"measured {time.monotonic() - started:.2f} {peak:.1f}", file=sys.stderr)
sys.exit(code)
`;

/** Runs amber to its end. It needs python3. */
export function measureAmber(args: string[], options: CommandOptions): Promise<Measured> {
  return measure([...amberProgram(), ...args], options);
}

/** Runs a program to its end. It needs python3. */
export async function measure(words: string[], options: CommandOptions): Promise<Measured> {
  const result = await command("python3", ["-c", wrapper, ...words], options);
  const told = /^measured ([\d.]+) ([\d.]+)$/m.exec(result.stderr);
  if (!told) throw new Error(`It was not measured:\n${result.stderr}`);
  return { result, seconds: Number(told[1]), peakMB: Number(told[2]) };
}
