import assert from "node:assert/strict";
import { type Dialect, lex } from "../../lib/migrations/lexer.ts";

/** The tokens, without space and symbols written out alone, as `kind<text>`; a symbol is just itself. */
function tokens(text: string, dialect: Dialect): string {
  return [...lex(text, dialect)].filter(({ kind }) => kind !== "space").map(({ kind, start, end }) => {
    const part = text.slice(start, end);
    return kind === "symbol" ? part : `${kind}<${part}>`;
  }).join(" ");
}

function check(dialect: Dialect, cases: [text: string, expected: string][]): void {
  for (const [text, expected] of cases) assert.equal(tokens(text, dialect), expected, text);
}

Deno.test("lex() reads what both dialects write alike", () => {
  for (const dialect of ["postgres", "sqlite"] as const) {
    check(dialect, [
      ["", ""],
      [" \t\r\n\f", ""],
      ["select a,b", "word<select> word<a> , word<b>"],
      ["'it''s'", "string<'it''s'>"],
      ["'a' 'b'", "string<'a'> string<'b'>"],
      ["'a\\'", "string<'a\\'>"],
      ["''", "string<''>"],
      ['"a""b;"', 'quoted<"a""b;">'],
      ["x'0F'", "string<x'0F'>"],
      ["ax'0F'", "word<ax> string<'0F'>"],
      ["-- a;\nb", "comment<-- a;> word<b>"],
      ["a--b", "word<a> comment<--b>"],
      ["/* ; */a/**/b", "comment</* ; */> word<a> comment</**/> word<b>"],
      [
        "1 1.5 .5 1e5 1.5E-3 0x1F 1_000",
        "number<1> number<1.5> number<.5> number<1e5> number<1.5E-3> number<0x1F> number<1_000>",
      ],
      ["1-2", "number<1> - number<2>"],
      ["t.c", "word<t> . word<c>"],
      ["größe_1$x", "word<größe_1$x>"],
      ["😀", "word<😀>"],
      ["a<=b", "word<a> < = word<b>"],
      ["'open", "unterminated<'open>"],
      ["'open''", "unterminated<'open''>"],
      ['a "open', 'word<a> unterminated<"open>'],
    ]);
  }
});

Deno.test("lex() reads PostgreSQL", () => {
  check("postgres", [
    ["E'a\\'b'c", "string<E'a\\'b'> word<c>"],
    ["e'a\\\\'b", "string<e'a\\\\'> word<b>"],
    ["e'a''b\\\n'", "string<e'a''b\\\n'>"],
    ["fe'a\\'b", "word<fe> string<'a\\'> word<b>"],
    ["E'a'\n'b\\'c'", "string<E'a'> string<'b\\'c'>"],
    [
      "E'a' -- it's\r\n  -- so\n '\\''\n'\\''",
      "string<E'a'> comment<-- it's> comment<-- so> string<'\\''> string<'\\''>",
    ],
    ["E'a' '\\'", "string<E'a'> string<'\\'>"],
    ["E'a' /* \n */ '\\'", "string<E'a'> comment</* \n */> string<'\\'>"],
    ["'a'\n'\\'", "string<'a'> string<'\\'>"],
    ["U&'\\0041' u&\"\\0041;\"", "string<U&'\\0041'> quoted<u&\"\\0041;\">"],
    ["u&a", "word<u> & word<a>"],
    ["B'01' N'a' n b", "string<B'01'> string<N'a'> word<n> word<b>"],
    ["$$;'$$", "string<$$;'$$>"],
    ["$a$ $$ $b$ $a$$1", "string<$a$ $$ $b$ $a$> variable<$1>"],
    ["$ö1$x$ö1$", "string<$ö1$x$ö1$>"],
    ["$a$ $A$", "unterminated<$a$ $A$>"],
    ["foo$1$ a$$;", "word<foo$1$> word<a$$> ;"],
    ["$1$2", "variable<$1> variable<$2>"],
    ["$", "$"],
    ["/* /* ; */ */a", "comment</* /* ; */ */> word<a>"],
    ["/*/*/ */*/b", "comment</*/*/ */*/> word<b>"],
    ["/* /* */", "unterminated</* /* */>"],
    ["/*", "unterminated</*>"],
    ["+-*/*c*/", "+ - * comment</*c*/>"],
    ["<--x", "< comment<--x>"],
    ["-- a\rb", "comment<-- a> word<b>"],
    ["a::b:=c", "word<a> : : word<b> : = word<c>"],
    ["a[1:2]", "word<a> [ number<1> : number<2> ]"],
    ["`", "`"],
    ["a ?| b @> c", "word<a> ? | word<b> @ > word<c>"],
    ["\\d", "\\ word<d>"],
  ]);
});

Deno.test("lex() reads SQLite", () => {
  check("sqlite", [
    ["`a``b;`", "quoted<`a``b;`>"],
    ["[a'b;]]", "quoted<[a'b;]> ]"],
    ["[open", "unterminated<[open>"],
    ["`open", "unterminated<`open>"],
    ["E'a\\'b", "word<E> string<'a\\'> word<b>"],
    ["/* /* */ a", "comment</* /* */> word<a>"],
    ["a /* open", "word<a> comment</* open>"],
    ["/*", "/ *"],
    ["-- a\rb\nc", "comment<-- a\rb> word<c>"],
    [
      "? ?1 :a @b $c $d::e $f(g)",
      "variable<?> variable<?1> variable<:a> variable<@b> variable<$c> variable<$d::e> variable<$f(g)>",
    ],
    ["$$;$$", "variable<$$> ; variable<$$>"],
    ["a$b", "word<a$b>"],
    [": ;", ": ;"],
    ["a->>'$.b'", "word<a> - > > string<'$.b'>"],
    ["\uFEFFselect", "word<select>"],
  ]);
});

Deno.test("lex() goes on in the middle", () => {
  assert.deepEqual([...lex("ab 'c", "postgres", 1)], [
    { kind: "word", start: 1, end: 2 },
    { kind: "space", start: 2, end: 3 },
    { kind: "unterminated", start: 3, end: 5 },
  ]);
});

Deno.test("lex() loses no character, whatever the text", () => {
  // deno-fmt-ignore
  const fragments = ["'", "''", '"', "`", "[", "]", "$", "$$", "$a$", "$1", "E'", "e'\\'", "U&'", "u&\"", "x'", "B", "\\", "--", "-", "/*", "*/", "/",
    "\n", "\r", "\r\n", " ", "\t", "\uFEFF", "é", "😀", "\ud83d", "a", "_", "1", "1.", ".5e", "0x", "?", ":", "::", "@", "#", ";", "(", ")", "a$b"];
  let state = 1;
  const random = (below: number) => Math.floor((state = (state * 48271) % 0x7fffffff) / 0x7fffffff * below);
  for (let round = 0; round < 20_000; round++) {
    const text = Array.from({ length: random(12) }, () => fragments[random(fragments.length)]).join("");
    for (const dialect of ["postgres", "sqlite"] as const) {
      let end = 0;
      for (const token of lex(text, dialect)) {
        assert.ok(token.start === end && token.end > end, `${dialect} ${JSON.stringify(text)}`);
        assert.ok(token.kind !== "unterminated" || token.end === text.length, `${dialect} ${JSON.stringify(text)}`);
        end = token.end;
      }
      assert.equal(end, text.length, `${dialect} ${JSON.stringify(text)}`);
    }
  }
});
