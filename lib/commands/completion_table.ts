/** What may stand in the place of a value. */
export type Candidates = "folder" | "file" | "program" | "unknown" | readonly string[];

export interface CompletedFlag {
  /** As it is typed: `--plan`, and `-d` where there is a short one. */
  names: string[];
  brief: string;
  /** Absent: it takes no value. */
  value?: Candidates;
}

/** One command as a completion script needs it. */
export interface CompletedCommand {
  name: string;
  brief: string;
  flags: CompletedFlag[];
  /** By place; the last one again and again when `isOpen`. */
  arguments: Candidates[];
  isOpen: boolean;
}

/** A command as the command line library keeps it; of its flags only what is needed here. */
interface Route {
  readonly brief: string;
  readonly parameters?: unknown;
}

interface Parameters {
  flags?: Record<string, { kind: string; brief: string; placeholder?: string; hidden?: boolean }>;
  aliases?: Record<string, string>;
  positional?:
    | { kind: "tuple"; parameters: readonly { placeholder?: string }[] }
    | { kind: "array"; parameter: { placeholder?: string } };
}

/** What a placeholder of the help stands for. Ids and names would have to be asked for, and are left to the person. */
const candidates: Readonly<Record<string, Candidates>> = {
  DIR: "folder",
  FILE: "file",
  CMD: "program",
  SNAPSHOT: ["latest"],
  TARGET: ["zero"],
  WHEN: ["never", "risky", "always"],
  STATE: ["answers", "current"],
  TOOL: ["dbmate"],
  SHELL: ["bash", "zsh", "fish"],
};

/** The commands with their flags and arguments, in the order of the help: from the same routes. */
export function completionTable(routes: Readonly<Record<string, Route>>): CompletedCommand[] {
  return Object.entries(routes).map(([name, route]) => {
    const { flags = {}, aliases = {}, positional } = (route.parameters ?? {}) as Parameters;
    const shown = Object.entries(flags).filter(([, flag]) => !flag.hidden);
    return {
      name,
      brief: route.brief,
      flags: [
        ...shown.map(([flag, { kind, brief, placeholder }]) => ({
          names: [
            `--${typed(flag)}`,
            ...Object.entries(aliases).filter(([, to]) => to === flag).map(([letter]) => `-${letter}`),
          ],
          brief,
          ...(kind === "boolean" ? {} : { value: standFor(placeholder) }),
        })),
        { names: ["--help", "-h"], brief: "show its flags" },
      ],
      arguments: positional === undefined
        ? []
        : positional.kind === "tuple"
        ? positional.parameters.map(({ placeholder }) => standFor(placeholder))
        : [standFor(positional.parameter.placeholder)],
      isOpen: positional?.kind === "array",
    };
  });
}

function standFor(placeholder = ""): Candidates {
  return candidates[placeholder] ?? "unknown";
}

/** `oneTransaction` as it is typed. */
function typed(flag: string): string {
  return flag.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}
