/** Somebody who is not root. */
export interface User {
  name: string;
  uid: number;
  gid: number;
}

export function isRoot(): boolean {
  return Deno.uid() === 0;
}

/**
 * The user to drop to when the tests run as root (PostgreSQL and PgBouncer refuse to), or `undefined` when they do
 * not. "nobody" exists everywhere; the others are for systems that removed it.
 */
export function unprivilegedUser(names: string[] = ["nobody", "postgres", "daemon"]): User | undefined {
  if (!isRoot()) return undefined;
  const users = Deno.readTextFileSync("/etc/passwd").split("\n").map((line) => line.split(":"));
  for (const name of names) {
    const entry = users.find((fields) => fields[0] === name);
    if (entry) return { name, uid: Number(entry[2]), gid: Number(entry[3]) };
  }
  throw new Error(`Cannot drop root's rights: none of the users ${names.join(", ")} exists`);
}

/** Where temporary folders go: reachable for other users, and short enough for the path of a unix socket. */
export function tempBase(): string {
  const own = Deno.env.get("TMPDIR") ?? "/tmp";
  return isRoot() || own.length > 50 ? "/tmp" : own;
}
