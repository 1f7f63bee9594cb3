/** What the runtime says of code that it cannot import, in words for people. */
import assert from "node:assert/strict";
import { loadFailure } from "../../lib/migrations/load_failure.ts";

const path = "migrations/0002_b.ts";

interface Case {
  title: string;
  message: string;
  text?: string;
  why: string;
  where: string;
}

/** As a compiled binary says it: with the text of the file, which may hold a path and a secret of its own. */
const inner = (file: string, text: string) =>
  `JsErrorBox { inner: ParseDiagnostic(ParseDiagnosticInner { specifier: Url { scheme: "file", path: "${file}", query: ` +
  `None }, kind: ExpectedIdent, source: SourceTextInfo { text: ${JSON.stringify(text)} } }) }`;

const cases: Case[] = [
  {
    title: "from source it is told as it is",
    message: "SyntaxError: Expression expected\n  |\n2 | if ( }",
    why: "SyntaxError: Expression expected",
    where: path,
  },
  {
    title: "a binary's inner form is parsed once more",
    message: inner("/srv/migrations/0002_b.ts", 'const key = "s3cret", path: "/elsewhere" @'),
    why: "SyntaxError: Expected ident",
    where: `${path}:2:18`,
  },
  {
    title: "the mistake is in a file that it imports",
    message: inner("/srv/migrations/_my%20slug.ts", "let = @"),
    why: "SyntaxError: Expected ident",
    where: "migrations/_my slug.ts:2:18",
  },
  {
    title: "a module that is missing, in both forms of it",
    message: "Module not found: migrations/gone.ts",
    text: '// "./gone.ts"\nimport { x } from "./gone.ts";\n',
    why: 'Module not found "migrations/gone.ts"',
    where: `${path}:2:19`,
  },
  {
    title: "a package that is missing",
    message: `Import "nobody" not a dependency and not in import map from "${path}"`,
    text: 'const x = await import("nobody");\n',
    why: `Import "nobody" not a dependency and not in import map from "${path}"`,
    where: `${path}:1:24`,
  },
  {
    title: "a module that a file beside it imports",
    message: 'Module not found "migrations/gone.ts"',
    text: 'import "./_slug.ts";\n',
    why: 'Module not found "migrations/gone.ts"',
    where: path,
  },
];

for (const { title, message, text = "", why, where } of cases) {
  Deno.test(`code that cannot be loaded: ${title}`, () => {
    const found = loadFailure({ path }, {
      message,
      text,
      where: path,
      inside: (file) => file === `/srv/${path}` ? undefined : { shown: file.slice("/srv/".length), text: "" },
      complaint: () => "SyntaxError: Expected ident\n  |\n2 | x\n    at file:///stripTypeScriptTypes.ts:2:18",
    });
    assert.deepEqual(found, { why, where });
  });
}
