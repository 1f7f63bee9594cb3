/** What one run of a command leaves for Prometheus. */
export interface RunFacts {
  command: string;
  /** When it ended. */
  ended: Date;
  durationMs: number;
  /** Exit status. */
  exit: number;
  bytes: RunBytes;
}

/** What it did, in bytes; absent: the command does no such thing, or did not come so far. */
export interface RunBytes {
  data?: number; // size of what a snapshot covers
  stored?: number; // what it added to the repository
  read?: number;
  restored?: number;
  freed?: number;
}

/** A line of the file. */
export interface Sample {
  name: string;
  command: string;
  /** As it is written. */
  value: string;
}

/** In the order of the file. All are gauges: each run says them anew. */
const helps = {
  amber_last_success_timestamp_seconds: "When the command last ended with exit status 0; 0: never.",
  amber_last_run_timestamp_seconds: "When the command last ended, however it went.",
  amber_last_run_exit_status: "Exit status of the last run.",
  amber_last_run_duration_seconds: "How long the last run took.",
  amber_last_run_data_bytes: "Size of all that the last snapshot covers.",
  amber_last_run_stored_bytes: "What the last run added to the repository.",
  amber_last_run_read_bytes: "What the last run read again and compared with its hashes.",
  amber_last_run_restored_bytes: "What the last run restored, to its place or to scratch.",
  amber_last_run_freed_bytes: "What the last run removed from the repository.",
};

const success = "amber_last_success_timestamp_seconds";

/**
 * The file's new text: this run's samples in place of the command's old ones, and other commands' samples as they were.
 * What the old text has beside that is left out.
 */
export function metricsText(old: string, run: RunFacts): string {
  const before = readMetrics(old);
  const own = new Map<string, number | undefined>([
    ["amber_last_run_timestamp_seconds", run.ended.getTime() / 1000],
    ["amber_last_run_exit_status", run.exit],
    ["amber_last_run_duration_seconds", run.durationMs / 1000],
    ...Object.entries(run.bytes).map(([what, bytes]) => [`amber_last_run_${what}_bytes`, bytes] as const),
  ]);
  const earlier = before.find(({ name, command }) => name === success && command === run.command)?.value ?? "0";
  const samples = [
    ...before.filter(({ command }) => command !== run.command),
    { name: success, command: run.command, value: run.exit === 0 ? String(run.ended.getTime() / 1000) : earlier },
    ...[...own].filter(([, value]) => value !== undefined).map(([name, value]) => {
      return { name, command: run.command, value: String(value) };
    }),
  ];
  // What a newer amber wrote has a name that is not known here, and stays.
  const names = new Set([...Object.keys(helps), ...samples.map(({ name }) => name)]);
  return [...names].flatMap((name) => {
    const lines = samples.filter((one) => one.name === name).map(({ command, value }) =>
      `${name}{command="${command}"} ${value}`
    ).sort();
    if (lines.length === 0) return [];
    const help = helps[name as keyof typeof helps];
    return [...(help ? [`# HELP ${name} ${help}`, `# TYPE ${name} gauge`] : []), ...lines];
  }).map((line) => `${line}\n`).join("");
}

/** The samples in a file that amber wrote. A line that is none, or is cut off, is left out; of two the last counts. */
export function readMetrics(text: string): Sample[] {
  const found = new Map<string, Sample>();
  for (const line of text.split("\n")) {
    const [, name, command, value] = /^(amber_[a-z_]+)\{command="([a-z]+)"\} (\S+)$/.exec(line.trim()) ?? [];
    if (name && command && value && /^[-+]?[\d.]+(e[-+]?\d+)?$/i.test(value) && Number.isFinite(Number(value))) {
      found.set(`${name} ${command}`, { name, command, value });
    }
  }
  return [...found.values()];
}

/** Whether somebody else's text would be lost: it is not empty, and nothing in it is amber's. */
export function isForeign(text: string): boolean {
  return text.trim() !== "" && !/^(# (HELP|TYPE) )?amber_/m.test(text);
}
