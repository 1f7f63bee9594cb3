/** Bytes that are needed to tell whether a file is a database. */
export const databaseHeaderSize = 16;

const header = new TextEncoder().encode("SQLite format 3\0");

/** Whether a file that begins with these bytes is a SQLite database. */
export function isDatabaseHeader(bytes: Uint8Array): boolean {
  return bytes.length >= header.length && header.every((byte, index) => bytes[index] === byte);
}

const journalMagic = [0xd9, 0xd5, 0x05, 0xf9, 0x20, 0xa1, 0x63, 0xd7];
const longestName = 4_096; // more than any path; a journal is input

/**
 * The super-journal that a database's journal names at its end: a file that SQLite would look for, and delete, when it
 * rolls the journal back. Undefined without a journal, or when it names none. A commit over several ATTACHed databases
 * has one for a moment.
 */
export function superJournalOf(path: string): string | undefined {
  let file: Deno.FsFile;
  try {
    if (!Deno.lstatSync(`${path}-journal`).isFile) return undefined; // SQLite follows no link here; a FIFO would never open
    // The journal is not the database: nobody has POSIX locks on it, so it may be closed again.
    file = Deno.openSync(`${path}-journal`, { read: true });
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
  try {
    const { size } = file.statSync();
    const tail = new Uint8Array(Math.min(size, longestName + tailSize));
    file.seekSync(size - tail.length, Deno.SeekMode.Start);
    for (let filled = 0; filled < tail.length;) {
      const count = file.readSync(tail.subarray(filled));
      if (!count) return undefined; // it was truncated meanwhile: the commit is done
      filled += count;
    }
    return superJournalIn(tail);
  } finally {
    file.close();
  }
}

const tailSize = 16; // the name's length, its checksum, the magic number

/** The same of a journal's last bytes. As SQLite's readSuperJournal(): … name, length (4), checksum (4), magic number (8). */
export function superJournalIn(tail: Uint8Array): string | undefined {
  if (tail.length < tailSize) return undefined;
  const view = new DataView(tail.buffer, tail.byteOffset, tail.byteLength);
  const end = tail.length - tailSize;
  if (!journalMagic.every((byte, index) => tail[end + 8 + index] === byte)) return undefined;
  const length = view.getUint32(end);
  if (length === 0 || length > end) return undefined;
  const name = tail.subarray(end - length, end);
  // SQLite adds up C's chars, which are signed here and unsigned there. A sum that does not agree makes it no name.
  let signed = 0;
  let unsigned = 0;
  for (const byte of name) {
    signed = (signed + (byte << 24 >> 24)) >>> 0;
    unsigned = (unsigned + byte) >>> 0;
  }
  const sum = view.getUint32(end + 4);
  if (sum !== signed && sum !== unsigned) return undefined;
  return new TextDecoder().decode(name).replace(/\0.*$/s, "") || undefined;
}
