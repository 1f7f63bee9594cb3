import type { Statement } from "./words.ts";

/** What belongs to the whole Postgres server and not to one database: done in a copy of that, it is done all the same. */
const clusterWide = new RegExp(
  "^(?:(?:create|alter|drop)\\s+(?:role|user(?!\\s+mapping)|group|tablespace|database|subscription)\\b" +
    "|alter\\s+system\\b|(?:drop|reassign)\\s+owned\\b" +
    "|(?:comment\\s+on|security\\s+label\\b.*\\bon)\\s+(?:role|tablespace|database|subscription)\\b" +
    "|(?:grant|revoke)\\b.*\\bon\\s+(?:database|tablespace|parameter)\\b" +
    "|copy\\b.*\\bprogram\\b)",
  "is",
);
/** GRANT role TO role: the one form without ON. */
const membership = /^(?:grant|revoke)\b(?!.*\bon\b)/is;

/**
 * Whether a Postgres statement changes more than the database that it runs in. What functions, `DO` blocks and code do is
 * not seen.
 */
export function changesCluster({ text }: Pick<Statement, "text">): boolean {
  const bare = text.replace(/--.*$/gm, " ").replace(/\/\*[\s\S]*?\*\//g, " ").trim();
  return clusterWide.test(bare) || membership.test(bare);
}
