import assert from "node:assert/strict";
import { redactor } from "../lib/secrets.ts";

Deno.test("redactor() masks every secret wherever it stands", () => {
  for (
    const [secrets, text, shown] of [
      [[], "nothing to hide", "nothing to hide"],
      [["s3cret"], "s3cret, s3crets and as3cret", "***, ***s and a***"],
      [["s3cret"], "S3CRET", "S3CRET"],
      [["pass", "password"], "password pass", "*** ***"], // longest first, whatever the order
      [["password", "pass"], "password pass", "*** ***"],
      [["a.c*", "(x)+$"], "a.c* abc (x)+$ $1", "*** abc *** $1"], // no pattern
      [["$&x"], "$&x", "***"],
      [['a"b\\c'], JSON.stringify({ error: 'bad a"b\\c' }), '{"error":"bad ***"}'],
      [["it's"], "alter role ann password 'it''s'", "alter role ann password '***'"],
      [["pä🔑"], "pä🔑!", "***!"],
      [["one\ntwo"], "one\ntwo", "***"],
      [["***"], "***", "***"],
    ] as [string[], string, string][]
  ) assert.equal(redactor(secrets)(text), shown, text);
});

Deno.test("redactor() leaves secrets of one or two characters alone: their gaps would tell them", () => {
  assert.equal(redactor(["", "a", "pw"])("a pw and a panda"), "a pw and a panda");
  assert.equal(redactor(["pw1"])("a pw1"), "a ***");
});
