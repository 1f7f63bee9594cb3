import assert from "node:assert/strict";
import { printable, tableLines } from "../../lib/output/table.ts";

Deno.test("tableLines() makes columns as wide as they must be, without spaces at the ends", () => {
  assert.deepEqual(
    tableLines([["id", "bytes", "tags"], ["abc", "12", ""], ["d", "3", "x, y"], ["e"]], ["left", "right", "left"]),
    ["id   bytes  tags", "abc     12", "d        3  x, y", "e"],
  );
  assert.deepEqual(tableLines([], ["left"]), []);
});

Deno.test("printable() leaves nothing that moves a cursor, ends a line or turns the direction", () => {
  assert.equal(printable("Übergröße 猫 🐈.txt"), "Übergröße 猫 🐈.txt");
  assert.equal(printable("a\nb\tc\r"), "a\\nb\\tc\\r");
  assert.equal(printable("\u001b[31mred\u009b"), "\\u{1b}[31mred\\u{9b}");
  assert.equal(printable("a\u202etxt.exe\u2028"), "a\\u{202e}txt.exe\\u{2028}");
});
