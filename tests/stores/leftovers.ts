/** The names of the temporary files that a directory store, or a killed writer, left in its `tmp/`. */
export function leftovers(root: string): string[] {
  try {
    return [...Deno.readDirSync(`${root}/tmp`)].map(({ name }) => name).sort();
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return [];
    throw error;
  }
}

/** A temporary file's name, as a directory store gives it, below the repository. */
export function temporaryName(number: number): string {
  return `tmp/amber-${String(number).padStart(32, "0")}`;
}
