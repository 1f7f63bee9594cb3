/** How a column stands: words to the left, figures to the right. */
export type Align = "left" | "right";

/**
 * Rows as lines, each column as wide as it must be, two spaces between; no spaces at a line's end. Cells are made
 * printable.
 */
export function tableLines(rows: readonly (readonly string[])[], aligns: readonly Align[]): string[] {
  const cells = rows.map((row) => row.map(printable));
  const widths = aligns.map((_, i) => Math.max(0, ...cells.map((row) => row[i]?.length ?? 0)));
  return cells.map((row) =>
    row.map((cell, i) => aligns[i] === "right" ? cell.padStart(widths[i]!) : cell.padEnd(widths[i]!)).join("  ")
      .trimEnd()
  );
}

/** A file's name may hold what moves a terminal's cursor, or a line end: these are shown escaped. */
export function printable(text: string): string {
  const names: Record<string, string> = { "\n": "\\n", "\r": "\\r", "\t": "\\t" };
  return text.replace(
    /[\p{Cc}\p{Zl}\p{Zp}\u202a-\u202e\u2066-\u2069]/gu,
    (letter) => names[letter] ?? `\\u{${letter.codePointAt(0)!.toString(16)}}`,
  );
}
