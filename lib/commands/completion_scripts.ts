import type { Candidates, CompletedCommand, CompletedFlag } from "./completion_table.ts";
import type { Shell } from "./setup_routes.ts";

/** A script that makes a shell complete amber's commands, flags and known values. It starts no program. */
export function completionScript(shell: Shell, commands: readonly CompletedCommand[]): string {
  return { bash, zsh, fish }[shell](commands).join("\n") + "\n";
}

const top: readonly CompletedFlag[] = [
  { names: ["--help"], brief: "show all commands" },
  { names: ["--version"], brief: "show the version" },
];

function bash(commands: readonly CompletedCommand[]): string[] {
  const first = [...commands.map(({ name }) => name), ...top.flatMap(({ names }) => names)];
  return [
    '# amber in bash. Now: eval "$(amber completions bash)"',
    "# For good: amber completions bash > ~/.local/share/bash-completion/completions/amber",
    "_amber() {",
    '  local word="${COMP_WORDS[COMP_CWORD]}" before="${COMP_WORDS[COMP_CWORD-1]}" flags="" wanted="" argument="" i',
    "  local IFS=$' \\t\\n'",
    "  COMPREPLY=()",
    "  if ((COMP_CWORD < 2)); then",
    `    COMPREPLY=($(compgen -W "${first.join(" ")}" -- "$word"))`,
    "    return",
    "  fi",
    "  for ((i = 2; i < COMP_CWORD; i++)); do",
    '    if [[ "${COMP_WORDS[i]}" == -- ]]; then',
    "      compopt -o default 2> /dev/null",
    '      ((i + 1 < COMP_CWORD)) || COMPREPLY=($(compgen -c -- "$word"))',
    "      return",
    "    fi",
    "  done",
    "  # bash takes --flag=value apart.",
    '  if [[ "$word" == = ]]; then word=""',
    '  elif [[ "$before" == = ]]; then before="${COMP_WORDS[COMP_CWORD-2]}"',
    "  fi",
    '  case "${COMP_WORDS[1]}" in',
    ...commands.flatMap((command) => [
      `    ${command.name})`,
      `      flags="${command.flags.flatMap(({ names }) => names.filter((name) => name.startsWith("--"))).join(" ")}"`,
      ...(bashWords(command.arguments[0]) ? [`      argument="${bashWords(command.arguments[0])}"`] : []),
      '      case "$before" in',
      ...command.flags.flatMap(({ names, value }) =>
        value === undefined ? [] : [`        ${names.join(" | ")}) wanted="${bashWords(value) || "unknown"}" ;;`]
      ),
      "      esac",
      "      ;;",
    ]),
    "  esac",
    '  if [[ -z "$wanted" && "$word" == -* ]]; then wanted="$flags"',
    '  elif [[ -z "$wanted" ]]; then wanted="$argument"',
    "  fi",
    '  case "$wanted" in',
    '    "" | unknown) ;;',
    "    folder | file)",
    "      compopt -o filenames 2> /dev/null",
    "      IFS=$'\\n'",
    '      if [[ "$wanted" == folder ]]; then COMPREPLY=($(compgen -d -- "$word"))',
    '      else COMPREPLY=($(compgen -f -- "$word"))',
    "      fi",
    "      ;;",
    '    *) COMPREPLY=($(compgen -W "$wanted" -- "$word")) ;;',
    "  esac",
    "}",
    "complete -F _amber amber",
  ];
}

/** Words to choose from, or the name of a kind; nothing where nobody can know. */
function bashWords(value: Candidates = "unknown"): string {
  return typeof value === "string" ? (value === "folder" || value === "file" ? value : "") : value.join(" ");
}

function zsh(commands: readonly CompletedCommand[]): string[] {
  const pairs = ({ name, brief }: { name: string; brief: string }) => quote(`${name}:${brief.replaceAll(":", "\\:")}`);
  return [
    "#compdef amber",
    "# amber in zsh. Now: source <(amber completions zsh)",
    "# For good: amber completions zsh > FOLDER/_amber, where FOLDER is one of $fpath",
    "_amber() {",
    "  local -a commands",
    "  if (( CURRENT == 2 )); then",
    "    commands=(",
    ...commands.map((command) => `      ${pairs(command)}`),
    ...top.map(({ names, brief }) => `      ${pairs({ name: names[0]!, brief })}`),
    "    )",
    "    _describe -t commands 'amber command' commands",
    "    return",
    "  fi",
    '  local command="${words[2]}"',
    "  shift words",
    "  (( CURRENT-- ))",
    '  case "$command" in',
    ...commands.flatMap((command) => [
      `    ${command.name})`,
      "      _arguments -S \\",
      [
        ...command.flags.flatMap(zshFlag),
        ...command.arguments.map((argument, index) =>
          quote(`${command.isOpen ? "*" : index + 1}:argument:${zshAction(argument)}`)
        ),
      ].map((spec) => `        ${spec}`).join(" \\\n"),
      "      ;;",
    ]),
    "  esac",
    "}",
    'if [[ "${funcstack[1]}" == _amber ]]; then',
    '  _amber "$@"',
    "else",
    "  compdef _amber amber",
    "fi",
  ];
}

function zshFlag({ names, brief, value }: CompletedFlag): string[] {
  const text = brief.replace(/[\\[\]:]/g, "\\$&");
  const others = names.length > 1 ? `(${names.join(" ")})` : "";
  const argument = value === undefined ? "" : `:value:${zshAction(value)}`;
  return names.map((name) =>
    quote(`${others}${name}${value !== undefined && name.startsWith("--") ? "=" : ""}[${text}]${argument}`)
  );
}

function zshAction(value: Candidates): string {
  if (typeof value !== "string") return `(${value.join(" ")})`;
  return { folder: "_files -/", file: "_files", program: "_normal", unknown: " " }[value];
}

function fish(commands: readonly CompletedCommand[]): string[] {
  return [
    "# amber in fish. Now: amber completions fish | source",
    "# For good: amber completions fish > ~/.config/fish/completions/amber.fish",
    "complete -c amber -f",
    ...commands.map(({ name, brief }) =>
      `complete -c amber -n __fish_use_subcommand -a ${name} -d ${fishQuote(brief)}`
    ),
    ...top.map(({ names, brief }) =>
      `complete -c amber -n __fish_use_subcommand -l ${names[0]!.slice(2)} -d ${fishQuote(brief)}`
    ),
    ...commands.flatMap(({ name, flags, arguments: [argument] }) => {
      const begin = `complete -c amber -n '__fish_seen_subcommand_from ${name}'`;
      return [
        ...flags.map(({ names, brief, value }) => {
          const written = names.map((flag) => flag.startsWith("--") ? `-l ${flag.slice(2)}` : `-s ${flag.slice(1)}`);
          return [begin, ...written, ...(value === undefined ? [] : [fishValue(value)]), "-d", fishQuote(brief)].join(
            " ",
          );
        }),
        ...(argument && typeof argument !== "string" ? [`${begin} -a ${fishQuote(argument.join(" "))}`] : []),
        ...(argument === "program" ? [`${begin} -a '(__fish_complete_command)'`] : []),
      ];
    }),
  ];
}

function fishValue(value: Candidates): string {
  if (typeof value !== "string") return `-x -a ${fishQuote(value.join(" "))}`;
  return { folder: "-x -a '(__fish_complete_directories)'", file: "-r -F", program: "-x", unknown: "-x" }[value];
}

function quote(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}

function fishQuote(text: string): string {
  return `'${text.replace(/[\\']/g, "\\$&")}'`;
}
