import type { Found, Id, Part } from "./found.ts";
import { Heap } from "./heap.ts";
import { rankOf } from "./rank.ts";

/** `from` comes after `to`. */
export interface Edge {
  from: Id;
  to: Id;
  /** `from` is a piece of `to`. */
  isInternal?: boolean;
}

/** Something that is made at its place: an object, or a part of one that cannot be made together with it. */
export interface Placed {
  found: Found;
  part?: Part;
  section: Found["section"];
}

export interface Ordered {
  placed: Placed[];
  /** The parts that are made by themselves. */
  separate: ReadonlySet<Id>;
  /** Materialized views that were filled and cannot be now: one that they read never was, or is no more. */
  unfilled: string[];
}

interface Node extends Placed {
  key: string;
  rank: number;
  after: Set<Node>;
}

/**
 * Puts objects in an order in which they can be made. Ties are broken by kind and name alone, so that equal databases
 * give equal orders, however they were made. A circle is opened by making a part of an object later: a default, a CHECK,
 * a view's query.
 *
 * @throws {Error} when a circle has no such part, naming its objects.
 */
export function order(founds: readonly Found[], edges: readonly Edge[]): Ordered {
  const separate = new Set<Id>();
  for (;;) {
    const all = build(founds, edges, separate);
    hoist(all);
    const idle = linkRefreshes(all);
    const { sorted, stuck } = sort(all.filter((node) => !idle.has(node)));
    if (stuck.length === 0) return { placed: sorted, separate, unfilled: [...idle].map(({ key }) => key).sort() };
    separate.add(opening(stuck, edges, separate));
  }
}

function build(founds: readonly Found[], edges: readonly Edge[], separate: ReadonlySet<Id>): Node[] {
  const byId = new Map<Id, Node>();
  const nodes: Node[] = [];
  for (const found of founds) {
    const node: Node = {
      found,
      section: found.section,
      key: found.name,
      rank: rankOf(found.kind),
      after: new Set(),
    };
    nodes.push(node);
    for (const id of [found.id, ...(found.also ?? [])]) byId.set(id, node);
    for (const part of found.parts ?? []) {
      if (!separate.has(part.id)) {
        byId.set(part.id, node);
        continue;
      }
      const own: Node = {
        found,
        part,
        section: found.section,
        key: part.name,
        rank: rankOf(part.kind),
        after: new Set([node]),
      };
      nodes.push(own);
      byId.set(part.id, own);
    }
  }
  for (const { from, to } of edges) {
    const [later, earlier] = [byId.get(from), byId.get(to)];
    if (!later || !earlier || later === earlier) continue;
    if (!later.part && later.found.notAfter?.includes(to)) continue;
    later.after.add(earlier);
  }
  for (const node of nodes) {
    if (node.part) continue;
    for (const id of node.found.after ?? []) {
      const earlier = byId.get(id);
      if (earlier && earlier !== node) node.after.add(earlier);
    }
  }
  return nodes;
}

/** What an object before the data needs is made before the data too: a key that a view's GROUP BY relies on. */
function hoist(nodes: Node[]): void {
  const open = nodes.filter(({ section }) => section === "pre-data");
  for (let node = open.pop(); node; node = open.pop()) {
    for (const earlier of node.after) {
      if (earlier.section === "pre-data") continue;
      earlier.section = "pre-data";
      open.push(earlier);
    }
  }
}

/**
 * A materialized view is filled after those that it reads, be it through views and functions. Gives those that cannot be,
 * because one of these is empty for good.
 */
function linkRefreshes(nodes: Node[]): Set<Node> {
  const refreshes = nodes.filter(({ found }) => found.kind === "refresh");
  const byView = new Map(refreshes.map((node) => [node.found.after![0]!, node]));
  const parts = new Map<Found, Node[]>();
  for (const node of nodes) if (node.part) parts.set(node.found, [...(parts.get(node.found) ?? []), node]);
  const idle = new Set<Node>();
  for (const refresh of refreshes) {
    const seen = new Set(refresh.after);
    // A set grows while it is walked.
    for (const node of seen) {
      for (const next of [...node.after, ...(parts.get(node.found) ?? [])]) seen.add(next);
      if (node.found.kind !== "materialized view") continue;
      const other = byView.get(node.found.id);
      if (!other) idle.add(refresh);
      else if (other !== refresh) refresh.after.add(other);
    }
  }
  return idle;
}

function sort(nodes: Node[]): { sorted: Node[]; stuck: Node[] } {
  const waiting = new Map<Node, number>(nodes.map((node) => [node, node.after.size]));
  const before = new Map<Node, Node[]>();
  for (const node of nodes) {
    for (const earlier of node.after) {
      const later = before.get(earlier);
      if (later) later.push(node);
      else before.set(earlier, [node]);
    }
  }
  const ready = new Heap(nodes.filter(({ after }) => after.size === 0), compare);
  const sorted: Node[] = [];
  for (let node = ready.take(); node; node = ready.take()) {
    sorted.push(node);
    waiting.delete(node);
    for (const later of before.get(node) ?? []) {
      const left = waiting.get(later)! - 1;
      waiting.set(later, left);
      if (left === 0) ready.add(later);
    }
  }
  return { sorted, stuck: [...waiting.keys()] };
}

function compare(a: Node, b: Node): number {
  if (a.section !== b.section) return a.section === "pre-data" ? -1 : 1;
  return a.rank - b.rank || (a.key < b.key ? -1 : a.key > b.key ? 1 : 0);
}

/** Which part of the objects that wait for each other is made by itself: the first whose own needs are in a circle. */
function opening(stuck: Node[], edges: readonly Edge[], separate: ReadonlySet<Id>): Id {
  const inCircle = circles(stuck);
  const owners = new Map<Id, Node>();
  for (const node of inCircle) {
    if (node.part) continue;
    for (const id of [node.found.id, ...(node.found.also ?? [])]) owners.set(id, node);
    for (const part of node.found.parts ?? []) if (!separate.has(part.id)) owners.set(part.id, node);
  }
  for (const node of inCircle) if (node.part) owners.set(node.part.id, node);
  const candidates: { part: Part; rank: number }[] = [];
  for (const node of inCircle) {
    if (node.part) continue;
    for (const part of node.found.parts ?? []) {
      if (separate.has(part.id)) continue;
      const isBound = edges.some(({ from, to }) => from === part.id && owners.has(to) && owners.get(to) !== node);
      if (isBound) candidates.push({ part, rank: rankOf(part.kind) });
    }
  }
  candidates.sort((a, b) => a.rank - b.rank || (a.part.name < b.part.name ? -1 : 1));
  const [first] = candidates;
  if (first) return first.part.id;
  const names = inCircle.map(({ found, part }) => `${part?.kind ?? found.kind} ${part?.name ?? found.name}`).sort();
  throw new Error(`these objects depend on each other in a circle: ${names.join(", ")}`);
}

/** Those that are in a circle, and not only behind one: strongly connected, by Tarjan. */
function circles(nodes: Node[]): Node[] {
  const facts = new Map<Node, { index: number; low: number; onStack: boolean }>();
  const stack: Node[] = [];
  const inCircle: Node[] = [];
  const within = new Set(nodes);
  let count = 0;
  const visit = (node: Node) => {
    const own = { index: count, low: count++, onStack: true };
    facts.set(node, own);
    stack.push(node);
    for (const next of node.after) {
      if (!within.has(next)) continue;
      const known = facts.get(next);
      if (!known) own.low = Math.min(own.low, visit(next));
      else if (known.onStack) own.low = Math.min(own.low, known.index);
    }
    if (own.low === own.index) {
      const members = stack.splice(stack.indexOf(node));
      for (const member of members) facts.get(member)!.onStack = false;
      if (members.length > 1) inCircle.push(...members);
    }
    return own.low;
  };
  for (const node of nodes) if (!facts.has(node)) visit(node);
  return inCircle;
}
