/**
 * Prints files as JSON, one a line, as the real parsers of YAML, of Dockerfiles and of Prometheus read them. Run as a program, without a lock:
 * the packages are for tests alone, and no clone should download them in order to migrate.
 */
const specifiers = {
  yaml: "npm:yaml@2.8.1",
  dockerfile: "npm:dockerfile-ast@0.7.1",
  prometheus: "npm:parse-prometheus-text-format@1.1.1",
};

for (const path of Deno.args) {
  const text = await Deno.readTextFile(path);
  if (path.endsWith(".yaml")) {
    const { parseAllDocuments } = await import(specifiers.yaml);
    const documents = parseAllDocuments(text, { merge: true });
    for (const { errors } of documents) if (errors.length > 0) throw errors[0];
    console.log(JSON.stringify(documents.map((document: { toJS(): unknown }) => document.toJS())));
  } else if (path.endsWith(".prom")) {
    const { default: parse } = await import(specifiers.prometheus);
    console.log(JSON.stringify(parse(text)));
  } else {
    const { DockerfileParser } = await import(specifiers.dockerfile);
    const instructions = DockerfileParser.parse(text).getInstructions();
    console.log(JSON.stringify(instructions.map((one: Record<string, () => string>) => [
      one.getKeyword!(),
      one.getArgumentsContent!() ?? "",
    ])));
  }
}
