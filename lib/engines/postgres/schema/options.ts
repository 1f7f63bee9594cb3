import { literal, quoteName } from "../../engine.ts";

/** A text as it stands in a statement. */
export function quoteText(text: unknown): string {
  return literal(String(text), "postgres").trim();
}

/** `{fillfactor=70,…}` of the catalogs as it stands between the brackets of WITH; "" for none. */
export function storageOptions(options: unknown, prefix = ""): string {
  return ((options ?? []) as string[]).map((option) => {
    const [name, value] = split(option);
    return `${prefix}${plainName(name)}=${/^([a-z]+|-?\d+(\.\d+)?)$/.test(value) ? value : quoteText(value)}`;
  }).join(", ");
}

/** `{host=db,…}` of foreign data as it stands in OPTIONS (…), without those that `isHidden` names. */
export function foreignOptions(options: unknown, isHidden: (name: string) => boolean = () => false): string {
  const shown = ((options ?? []) as string[]).map(split).filter(([name]) => !isHidden(name))
    .map(([name, value]) => `${plainName(name)} ${quoteText(value)}`);
  return shown.length > 0 ? ` OPTIONS (${shown.join(", ")})` : "";
}

/** Names of options that hold what must not be shown. */
export function isSecretOption(name: string): boolean {
  return /pass|secret|token|credential|private|(^|_)key$/i.test(name);
}

/** The options' names. */
export function optionNames(options: unknown): string[] {
  return ((options ?? []) as string[]).map((option) => split(option)[0]);
}

function split(option: string): [string, string] {
  const at = option.indexOf("=");
  return [option.slice(0, at), option.slice(at + 1)];
}

function plainName(name: string): string {
  return /^[a-z_][a-z0-9_]*$/.test(name) && name !== "user" ? name : quoteName(name);
}
