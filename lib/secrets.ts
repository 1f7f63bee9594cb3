/** What stands in a text in the place of a secret. */
const mask = "***";

/**
 * Shorter secrets are left alone. Masking every "a" makes a text unreadable and hides nothing: the letters that are
 * gone from the known words around them tell what the secret is.
 */
const minLength = 3;

/**
 * Arguments of a command line that hold a login, typed where no URL belongs: `amber migrate postgres://…`, a misspelt
 * flag. A message that repeats the argument must not show them.
 */
export function argumentSecrets(args: readonly string[]): string[] {
  const texts = args.flatMap((arg) => [arg, arg.replace(/^--?[\w-]*=/, ""), arg.replace(/^-\w/, "")]);
  return [...new Set(texts)].filter((text) => /^[\s"']*[a-z][a-z0-9+.-]*:.*@/is.test(text));
}

/**
 * Makes the function that every text goes through before a person or a program sees it: each secret becomes `***`,
 * also where it stands inside a JSON string (`"` as `\"`) or an SQL string (`'` as `''`). Longer secrets go first, so
 * that a password that begins like another one leaves no end behind.
 *
 * ```ts
 * import assert from "node:assert/strict";
 * const redact = redactor(["s3cret"]);
 * assert.equal(redact("login with s3cret failed"), "login with *** failed");
 * ```
 */
export function redactor(secrets: string[]): (text: string) => string {
  const forms = new Set(secrets.flatMap((s) => [s, JSON.stringify(s).slice(1, -1), s.replaceAll("'", "''")]));
  const longestFirst = [...forms].filter((form) => form.length >= minLength).sort((a, b) => b.length - a.length);
  if (longestFirst.length === 0) return (text) => text;
  const pattern = new RegExp(longestFirst.map(RegExp.escape).join("|"), "g");
  return (text) => text.replace(pattern, mask);
}
