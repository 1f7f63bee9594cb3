/**
 * Retention against a plain oracle: for each rule the snapshots are put into a table by a piece of their time's text, and
 * the last lines of the table are read. And with wrong clocks against the same with right ones.
 */
import assert from "node:assert/strict";
import { type KeepPolicy, keepRules, parseKeep } from "../../lib/repository/keep_policy.ts";
import { decideRetention, type Judged } from "../../lib/repository/retention.ts";
import { type Random, random, runSeed } from "../support/random.ts";
import { isLong } from "../support/skip.ts";

const minuteMs = 60_000;
const hourMs = 60 * minuteMs;
const dayMs = 24 * hourMs;
const tenYearsMs = 3652 * dayMs;

type Told = Partial<Judged> & { time: string; stored?: string; tags?: string[]; tookMs?: number };

/** A snapshot named by `hash`; "2026-11-20 12:00" is 2026-11-20T12:00:00.000Z. Stored when taken unless told otherwise. */
function snapshot(hash: string, { time, stored, tags = [], tookMs, ...rest }: Told): Judged {
  const iso = (text: string) => `${text.replace(" ", "T")}:00.000Z`;
  return {
    hash: hash.padEnd(64, "0"),
    kind: "ordinary",
    time: iso(time),
    storedMs: Date.parse(iso(stored ?? time)),
    facts: { tags, durationMs: tookMs },
    ...rest,
  };
}

const at = (text: string) => Date.parse(`${text.replace(" ", "T")}Z`);

function decide(
  told: Record<string, Told | string>,
  options: { keep?: string; now?: string; keepTags?: string[] },
): Record<string, string> {
  const snapshots = Object.entries(told).map(([hash, one]) =>
    snapshot(hash, typeof one === "string" ? { time: one } : one)
  );
  const decisions = decideRetention(snapshots, {
    policy: options.keep === undefined ? undefined : parseKeep(options.keep),
    keepTags: options.keepTags,
    nowMs: at(options.now ?? "2026-11-21 00:00"),
  });
  const names = Object.keys(told);
  return Object.fromEntries(
    decisions.map(({ keep, reasons }, i) => [names[i], `${keep ? "+" : "-"} ${reasons.join("; ")}`]),
  );
}

Deno.test("retention: of each day that has snapshots the newest one stays, as many days as the policy counts", () => {
  const told = {
    a: "2026-11-10 08:00",
    b: "2026-11-16 23:59",
    c: "2026-11-17 00:00",
    d: "2026-11-20 08:00",
    e: "2026-11-20 20:00",
  };
  assert.deepEqual(decide(told, { keep: "3 daily" }), {
    a: "- older than 3 daily",
    b: "+ daily 3 of 3: the newest of 2026-11-16",
    c: "+ daily 2 of 3: the newest of 2026-11-17",
    d: "- a newer one of its day",
    e: "+ newest; daily 1 of 3: the newest of 2026-11-20",
  });
});

Deno.test("retention: each rule counts by itself, and a snapshot may stay for several", () => {
  const told = {
    a: "2025-12-31 12:00",
    b: "2026-10-31 12:00",
    c: "2026-11-14 12:00",
    d: "2026-11-20 11:10",
    e: "2026-11-20 11:50",
    f: "2026-11-20 12:00",
  };
  assert.deepEqual(decide(told, { keep: "2 hourly, 1 daily, 2 weekly, 2 monthly, 2 yearly, 1 last" }), {
    a: "+ yearly 2 of 2: the newest of 2025",
    b: "+ monthly 2 of 2: the newest of 2026-10",
    c: "+ weekly 2 of 2: the newest of 2026-W46",
    d: "- older than the last 1; a newer one of its hour, day, week, month, year",
    e: "+ hourly 2 of 2: the newest of 2026-11-20 11h",
    f: "+ newest; hourly 1 of 2: the newest of 2026-11-20 12h; daily 1 of 1: the newest of 2026-11-20; " +
      "weekly 1 of 2: the newest of 2026-W47; monthly 1 of 2: the newest of 2026-11; " +
      "yearly 1 of 2: the newest of 2026; last 1 of 1",
  });
});

Deno.test("retention: an ISO week begins on Monday and goes over the end of a year", () => {
  const told = { a: "2024-12-29 23:59", b: "2024-12-30 00:00", c: "2025-01-05 23:59", d: "2025-01-06 00:00" };
  assert.deepEqual(decide(told, { keep: "3 weekly" }), {
    a: "+ weekly 3 of 3: the newest of 2024-W52",
    b: "- a newer one of its week",
    c: "+ weekly 2 of 3: the newest of 2025-W01",
    d: "+ newest; weekly 1 of 3: the newest of 2025-W02",
  });
  const weeks = { a: "2020-12-31 12:00", b: "2021-01-04 00:00" };
  assert.match(decide(weeks, { keep: "2 weekly" }).a!, /2020-W53/);
});

Deno.test("retention: preset plash", () => {
  const told = Object.fromEntries(
    Array.from({ length: 60 * 24 }, (_, i) => {
      const time = new Date(at("2026-11-20 23:30") - i * hourMs).toISOString().slice(0, 16);
      return [`${i}.`, time];
    }),
  );
  const kept = Object.entries(decide(told, { keep: "plash" })).filter(([, why]) => why.startsWith("+"));
  assert.deepEqual(kept.map(([name]) => told[name]), [
    "2026-11-20T23:30",
    "2026-11-20T22:30",
    "2026-11-20T21:30",
    "2026-11-20T20:30",
    "2026-11-20T19:30",
    "2026-11-19T23:30",
    "2026-11-15T23:30",
    "2026-10-31T23:30",
  ]);
});

Deno.test("retention: tags keep, and without a policy nothing is forgotten", () => {
  const told: Record<string, Told> = {
    a: { time: "2020-01-01 00:00", tags: ["release", "v1"] },
    b: { time: "2020-01-02 00:00", tags: ["other"] },
    c: { time: "2020-01-03 00:00", kind: "safety" },
    d: { time: "2020-01-04 00:00", kind: "safety" },
    e: { time: "2026-11-20 00:00" },
  };
  assert.deepEqual(decide(told, { keep: "1 daily", keepTags: ["release"] }), {
    a: "+ tag release",
    b: "- older than 1 daily",
    c: "+ safety, kept 7 days", // between it and the next file lie years: a leap of the clock, not time that passed
    d: "+ newest safety",
    e: "+ newest; daily 1 of 1: the newest of 2026-11-20",
  });
  assert.deepEqual(new Set(Object.values(decide(told, {}))), new Set(["+ no policy"]));
  assert.deepEqual(new Set(Object.values(decide(told, { keepTags: ["release"] }))), new Set(["+ no policy"]));
  assert.deepEqual(decide({}, { keep: "1 last" }), {});
});

Deno.test("retention: safety snapshots stay for 7 days and the newest always, and do not count among the others", () => {
  const told: Record<string, Told> = {
    a: { time: "2026-11-13 23:59", kind: "safety" },
    b: { time: "2026-11-14 00:00", kind: "safety" },
    c: { time: "2026-11-19 10:00" },
    d: { time: "2026-11-20 10:00", kind: "safety" },
  };
  assert.deepEqual(decide(told, { keep: "1 last" }), {
    a: "- safety, older than 7 days",
    b: "+ safety, kept 7 days",
    c: "+ newest; last 1 of 1",
    d: "+ newest safety",
  });
  assert.deepEqual(decide({ a: told.a! }, { keep: "1 last" }), { a: "+ newest safety" });
});

Deno.test("retention: the age of a safety or partial snapshot is that of its file by the store's clock", () => {
  const told: Record<string, Told> = {
    a: { time: "2036-01-01 00:00", stored: "2026-11-13 23:00", kind: "safety" },
    b: { time: "2016-01-01 00:00", stored: "2026-11-14 01:00", kind: "safety" },
    c: { time: "2016-01-01 00:00", stored: "2026-11-20 23:00", kind: "safety" },
    d: { time: "2036-01-02 00:00", stored: "2026-11-18 23:00", kind: "partial" },
    e: { time: "2016-01-02 00:00", stored: "2026-11-19 01:00", kind: "partial" },
  };
  assert.deepEqual(decide(told, { keep: "1 last" }), {
    a: "- safety, older than 7 days",
    b: "+ safety, kept 7 days",
    c: "+ newest safety",
    d: "- partial, older than 2 days",
    e: "+ partial, kept 2 days",
  });
});

Deno.test("retention: a partial snapshot goes when another one names its packs, with and without a policy", () => {
  const told: Record<string, Told> = {
    a: { time: "2026-11-20 01:00", stored: "2026-11-20 02:00", kind: "partial" },
    b: { time: "2026-11-20 01:00", stored: "2026-11-20 03:00", kind: "partial" },
    c: { time: "2026-11-20 04:00", parent: "b".padEnd(64, "0"), stored: "2026-11-20 05:00", kind: "partial" },
    d: { time: "2026-11-20 04:00", parent: "b".padEnd(64, "0"), stored: "2026-11-20 05:30" },
    e: { time: "2026-11-20 06:00", stored: "2026-11-20 07:00", kind: "partial" },
  };
  for (const keep of ["1 last", undefined]) {
    const decisions = decide(told, { keep });
    assert.equal(decisions.a, "- partial, and b000000000 goes on from it");
    assert.match(decisions.b!, /^- partial, and [cd]000000000 goes on from it/);
    assert.equal(decisions.c, "- partial, and d000000000 goes on from it");
    assert.match(decisions.d!, /^\+/);
    assert.equal(decisions.e, "+ partial, kept 2 days");
    const early = decide(told, { keep, now: "2026-11-20 06:59" });
    assert.equal(early.c, "+ partial, kept 2 days", "its run may still be under way");
  }
});

Deno.test("retention: the newest one that is whole stays beside a newer one that is not", () => {
  const changed: Judged["facts"]["remarks"] = [{ path: "log", what: "changed", message: "" }];
  const vanished: Judged["facts"]["remarks"] = [{ path: "log", what: "vanished", message: "" }];
  const told: Record<string, Told> = {
    a: { time: "2026-11-17 12:00" },
    b: { time: "2026-11-18 12:00", facts: { tags: [], remarks: vanished } },
    c: { time: "2026-11-19 12:00", good: false },
    d: { time: "2026-11-20 12:00", facts: { tags: [], remarks: changed } },
  };
  assert.deepEqual(decide(told, { keep: "1 last" }), {
    a: "- older than the last 1",
    b: "+ newest without faults",
    c: "- older than the last 1",
    d: "+ newest; last 1 of 1",
  });
});

Deno.test("retention: a clock that was wrong is told, and the store's counts", () => {
  const told: Record<string, Told> = {
    a: { time: "2026-11-18 12:00" },
    b: { time: "2026-11-19 12:00" },
    c: { time: "2036-11-20 12:00", stored: "2026-11-20 10:00" },
    d: { time: "2026-11-19 11:00", stored: "2026-11-20 11:00" },
    e: { time: "2026-11-20 13:00", stored: "2026-11-20 12:00" }, // the store is an hour behind, or this clock ahead
  };
  assert.deepEqual(decide(told, { keep: "2 daily, 3 hourly" }), {
    a: "- older than 3 hourly, 2 daily",
    b: "+ hourly 3 of 3: the newest of 2026-11-19 12h; daily 2 of 2: the newest of 2026-11-19",
    c: "+ hourly 2 of 3: perhaps the newest of 2026-11-20 10h; " +
      "its clock was ahead, at 2036-11-20 12:00: the store's time 2026-11-20 10:00 counts",
    d: "+ hourly 2 of 3: perhaps the newest of 2026-11-20 11h; " +
      "its file was stored at 2026-11-20 11:00, long after its time 2026-11-19 11:00: copied, brought back, or its clock was behind; " +
      "it stays when one of the two times keeps it",
    e: "+ newest; hourly 1 of 3: the newest of 2026-11-20 13h; daily 1 of 2: the newest of 2026-11-20",
  });
});

Deno.test("retention: one that was brought back stays for a while, and takes nobody's place", () => {
  const told: Record<string, Told> = {
    a: { time: "2026-11-10 12:00", stored: "2026-11-20 12:30" },
    b: { time: "2026-11-19 12:00" },
    c: { time: "2026-11-20 12:00" },
  };
  const decisions = decide(told, { keep: "2 daily" });
  assert.match(
    decisions.a!,
    /^\+ newest; daily 1 of 2: the newest of 2026-11-20; its file was stored at .*brought back/,
  );
  assert.match(decisions.b!, /^\+ daily 2 of 2/);
  assert.match(decisions.c!, /^\+ newest; daily 1 of 2/);
  assert.match(
    decide({ ...told, d: "2026-11-22 12:00", e: "2026-11-23 12:00" }, { keep: "2 daily", now: "2026-11-24 00:00" }).a!,
    /^-/,
  );
});

Deno.test("retention: a snapshot from the future stays and takes nobody's place", () => {
  const told: Record<string, Told> = {
    a: { time: "2026-11-18 12:00" },
    b: { time: "2026-11-19 12:00" },
    c: { time: "2036-11-20 12:00" },
    d: { time: "2036-11-20 12:00", kind: "partial" },
    e: { time: "2036-11-20 12:00", kind: "safety" },
  };
  const future = "+ from the future: stored at 2036-11-20 12:00, and now it is 2026-11-21 00:00";
  assert.deepEqual(decide(told, { keep: "2 daily" }), {
    a: "+ daily 2 of 2: the newest of 2026-11-18",
    b: "+ newest; daily 1 of 2: the newest of 2026-11-19",
    c: future,
    d: future,
    e: future,
  });
});

Deno.test("retention: one that is older than its parent stays as long as that", () => {
  const parent = "b".padEnd(64, "0");
  const told: Record<string, Told> = {
    a: { time: "2026-11-19 12:00" },
    b: { time: "2026-11-20 12:00" },
    c: { time: "2026-11-19 11:00", parent },
    d: { time: "2026-11-20 11:00", parent }, // within what clocks may differ
  };
  const why = "its time is before that of its parent b000000000: it stays as long as that one";
  assert.deepEqual(decide(told, { keep: "1 daily" }), {
    a: "- older than 1 daily",
    b: "+ newest; daily 1 of 1: the newest of 2026-11-20",
    c: `+ ${why}`,
    d: "- a newer one of its day",
  });
  const later = { ...told, e: "2026-11-20 20:00" };
  assert.equal(decide(later, { keep: "1 daily" }).c, "- older than 1 daily");
});

interface History {
  snapshots: Judged[];
  nowMs: number;
  policy: KeepPolicy;
  keepTags: string[];
}

/** @param overlap Whether a snapshot may begin before the last one is stored. */
function history(r: Random, overlap: boolean): History {
  const step = r.pick([10 * minuteMs, hourMs, 7 * hourMs, dayMs, 10 * dayMs]);
  let ms = Date.UTC(r.int(2024, 2029), r.int(0, 11), r.int(1, 28), r.int(0, 23), r.int(0, 59));
  const snapshots: Judged[] = [];
  for (let i = r.int(1, r.pick([3, 20, 60])); i > 0; i--) {
    // Often at the very beginning of an hour, day, week: where a wrong second changes what is the newest of what.
    ms += r.int(1, step);
    if (r.chance(0.2)) ms = Math.ceil(ms / hourMs) * hourMs + r.int(0, 3_000);
    if (r.chance(0.1)) ms = Math.ceil(ms / dayMs) * dayMs + r.int(-3_000, 3_000);
    const tookMs = r.pick([r.int(200, 5_000), r.int(200, 5_000), r.int(1_000, 5 * hourMs)]);
    const one: Judged = {
      hash: r.text(16, "0123456789abcdef"),
      kind: r.chance(0.85) ? "ordinary" : "safety",
      time: new Date(ms).toISOString(),
      parent: snapshots.findLast(({ kind, storedMs }) => kind === "ordinary" && storedMs <= ms)?.hash,
      storedMs: ms + tookMs + r.int(0, 500),
      facts: { tags: r.chance(0.05) ? ["release"] : [], durationMs: Math.max(0, tookMs - r.int(0, 30_000)) },
    };
    if (!overlap) ms = one.storedMs;
    snapshots.push(one);
  }
  const policy: KeepPolicy = {};
  for (const rule of r.shuffle(keepRules).slice(0, r.int(1, 6))) policy[rule] = r.int(1, r.pick([2, 5, 12]));
  const nowMs = Math.max(...snapshots.map(({ storedMs }) => storedMs)) + r.int(0, 10 * dayMs);
  return { snapshots, nowMs, policy, keepTags: r.chance(0.3) ? ["release"] : [] };
}

const keptOf = ({ snapshots, ...options }: History): Set<string> =>
  new Set(decideRetention(snapshots, options).filter(({ keep }) => keep).map(({ snapshot }) => snapshot.hash));

/** A history with its decisions, for a failure's message. */
function tell({ snapshots, ...options }: History): string {
  const lines = decideRetention(snapshots, options).map((
    { snapshot: { hash, kind, time, storedMs, parent }, keep, reasons },
  ) =>
    `${keep ? "+" : "-"} ${hash} ${kind} ${time} ${new Date(storedMs).toISOString()} ${parent}: ${reasons.join("; ")}`
  );
  return [...lines, JSON.stringify({ ...options, now: new Date(options.nowMs) })].join("\n");
}

/** What stays when all clocks are right, said in another way. */
function oracle({ snapshots, nowMs, policy, keepTags }: History): Set<string> {
  const ordinary = snapshots.filter(({ kind }) => kind === "ordinary").sort((a, b) => a.time.localeCompare(b.time));
  const safety = snapshots.filter(({ kind }) => kind === "safety").sort((a, b) => a.storedMs - b.storedMs);
  const columns: Record<string, (time: string) => string> = {
    hourly: (time) => time.split(":")[0]!,
    daily: (time) => time.split("T")[0]!,
    weekly: (time) => {
      const day = new Date(`${time.split("T")[0]}T00:00:00Z`);
      while (day.getUTCDay() !== 1) day.setUTCDate(day.getUTCDate() - 1);
      return day.toISOString();
    },
    monthly: (time) => time.split("-").slice(0, 2).join("-"),
    yearly: (time) => time.split("-")[0]!,
    last: (time) => time,
  };
  const stay = [ordinary.at(-1), safety.at(-1), ...safety.filter(({ storedMs }) => nowMs - storedMs <= 7 * dayMs)];
  stay.push(...snapshots.filter(({ facts }) => facts.tags.some((tag) => keepTags.includes(tag))));
  for (const [rule, count] of Object.entries(policy)) {
    const table = Object.groupBy(ordinary, ({ time }) => columns[rule]!(time));
    for (const key of Object.keys(table).sort().slice(-count)) stay.push(table[key]!.at(-1));
  }
  return new Set(stay.filter((one) => one !== undefined).map(({ hash }) => hash));
}

function eachHistory(rounds: number, overlap: boolean, body: (one: History, r: Random) => void): void {
  const seed = runSeed();
  for (let round = 0; round < rounds; round++) {
    const r = random(seed + round);
    const one = history(r, overlap);
    try {
      body(one, r);
    } catch (error) {
      throw new Error(`AMBER_TEST_SEED=${seed + round}`, { cause: error });
    }
  }
}

Deno.test("retention: 10,000 random histories, as a plain oracle has it", () => {
  let [count, kept] = [0, 0];
  eachHistory(10_000, true, (one) => {
    const ours = keptOf(one);
    assert.deepEqual([...ours].sort(), [...oracle(one)].sort());
    count += one.snapshots.length;
    kept += ours.size;
  });
  console.log(`  ${count} snapshots, ${kept} of them kept`);
});

const rounds = isLong ? 10_000 : 1_000;

/** Each gives a history again, as wrong clocks tell it. */
const faults: Record<string, (one: History, r: Random) => History> = {
  "the store is an hour off": (one, r) => {
    const offMs = r.pick([-1, 1]) * hourMs;
    const snapshots = one.snapshots.map((each) => ({ ...each, storedMs: each.storedMs + offMs }));
    return { ...one, snapshots, nowMs: one.nowMs + offMs };
  },
  "some clocks are a day back": (one, r) => someClocks(one, r, (ms) => ms - dayMs),
  "some clocks are ten years ahead": (one, r) => someClocks(one, r, (ms) => ms + tenYearsMs),
  "some clocks are anywhere": (one, r) => someClocks(one, r, (ms) => anywhere(ms, r.int(0, Date.UTC(2050, 0)))),
  "all clocks stand still": (one) => ({ ...one, snapshots: one.snapshots.map((each) => ({ ...each, time: epoch })) }),
  "all was copied yesterday": (one) => {
    const copiedMs = one.nowMs + 30 * dayMs; // each time lies long before it
    const snapshots = one.snapshots.map((each, i) => ({ ...each, storedMs: copiedMs + i }));
    return { ...one, snapshots, nowMs: copiedMs + dayMs };
  },
  "a folder on a machine whose clock was ten years ahead for a while": (one, r) =>
    sharedClock(one, (_, i) => i % 5 === r.seed % 5, (ms) => ms + tenYearsMs),
  "a folder on a machine whose clock is ten years ahead now": (one) => {
    const newestMs = Math.max(...one.snapshots.map(({ time }) => Date.parse(time)));
    const isWrong = ({ time }: Judged) => Date.parse(time) >= Math.floor(newestMs / hourMs) * hourMs;
    return { ...sharedClock(one, isWrong, (ms) => ms + tenYearsMs), nowMs: one.nowMs + tenYearsMs };
  },
  "a folder on a machine whose clock was a day back for the newest": (one) => {
    const newest = one.snapshots.findLast(({ kind }) => kind === "ordinary");
    return isSeen(one, newest) ? sharedClock(one, (each) => each === newest, (ms) => ms - dayMs) : one;
  },
  "a folder on a machine whose clock is a day back now": (one) => {
    const newest = one.snapshots.at(-1);
    if (!isSeen(one, newest) || one.nowMs - newest!.storedMs > 7 * dayMs) return one;
    return { ...sharedClock(one, (each) => each === newest, (ms) => ms - dayMs), nowMs: one.nowMs - dayMs };
  },
};

/** Whether a day less makes a snapshot older than its parent: nothing else tells when the store has the same wrong clock. */
function isSeen({ snapshots }: History, one: Judged | undefined): boolean {
  const parent = snapshots.find(({ hash }) => hash === one?.parent);
  return parent !== undefined && Date.parse(one!.time) - dayMs < Date.parse(parent.time) - 2 * hourMs;
}

const epoch = "1970-01-01T00:00:00.000Z";

/** Clocks that differ by less than an hour or two nobody can tell from right ones. */
const anywhere = (ms: number, wrongMs: number) => Math.abs(ms - wrongMs) > 8 * hourMs ? wrongMs : 0;

/** One, some or all snapshots were taken with a wrong clock; the store has its own. */
function someClocks(one: History, r: Random, wrong: (ms: number) => number): History {
  const share = r.pick([0, 0.2, 0.5, 1]);
  const chosen = r.int(0, one.snapshots.length - 1);
  const snapshots = one.snapshots.map((each, i) => {
    if (i !== chosen && !r.chance(share)) return each;
    return { ...each, time: new Date(wrong(Date.parse(each.time))).toISOString() };
  });
  return { ...one, snapshots };
}

/** The store is a folder: while the machine's clock was wrong, the times of files were as well. */
function sharedClock(
  one: History,
  isWrong: (each: Judged, i: number) => boolean,
  wrong: (ms: number) => number,
): History {
  const snapshots = one.snapshots.map((each, i) => {
    if (!isWrong(each, i)) return each;
    return { ...each, time: new Date(wrong(Date.parse(each.time))).toISOString(), storedMs: wrong(each.storedMs) };
  });
  return { ...one, snapshots };
}

for (const [name, wrong] of Object.entries(faults)) {
  Deno.test(`retention keeps what right clocks keep: ${name}, ${rounds} histories`, () => {
    let [right, more, all] = [0, 0, 0];
    eachHistory(rounds, false, (one, r) => {
      const wanted = keptOf(one);
      const ours = keptOf(wrong(one, r));
      const lost = [...wanted].filter((hash) => !ours.has(hash));
      if (lost.length > 0) {
        assert.fail(`kept by right clocks alone: ${lost}\n${tell(one)}\nwith wrong ones:\n${tell(wrong(one, r))}`);
      }
      right += wanted.size;
      more += ours.size - wanted.size;
      all += one.snapshots.length;
    });
    if (name === "the store is an hour off") assert.equal(more, 0);
    assert.ok(more < all - right, "something is still forgotten");
    console.log(`  of ${all} snapshots right clocks keep ${right}, these ${right + more}`);
  });
}

Deno.test("retention of 10,000 snapshots is quick", () => {
  const r = random(1);
  const snapshots = Array.from({ length: 10_000 }, (_, i): Judged => ({
    hash: i.toString(16).padStart(64, "0"),
    kind: "ordinary",
    time: r.chance(0.1) ? epoch : new Date(Date.UTC(2026, 0) + i * hourMs).toISOString(),
    storedMs: Date.UTC(2026, 0) + i * hourMs + 1_000,
    facts: { tags: [], durationMs: 900 },
  }));
  const policy = parseKeep("24 hourly, 7 daily, 4 weekly, 12 monthly, 3 yearly, 5 last");
  const before = performance.now();
  const decisions = decideRetention(snapshots, { policy, nowMs: Date.UTC(2027, 6) });
  const tookMs = performance.now() - before;
  console.log(`  ${Math.round(tookMs)} ms`);
  assert.ok(tookMs < 5_000, "on a machine that does much else; alone it is a fifth of a second");
  assert.ok(decisions.filter(({ keep }) => keep).length < 100);
});
