import assert from "node:assert/strict";
import { describeKeep, type KeepPolicy, parseKeep } from "../../lib/repository/keep_policy.ts";

Deno.test("parseKeep() reads any part of a policy, in any order and with any spaces", () => {
  const cases: [string, KeepPolicy][] = [
    ["24 hourly, 7 daily, 4 weekly, 12 monthly, 3 yearly, 5 last", {
      hourly: 24,
      daily: 7,
      weekly: 4,
      monthly: 12,
      yearly: 3,
      last: 5,
    }],
    ["1 last", { last: 1 }],
    ["5 last,7 daily", { daily: 7, last: 5 }],
    ["  7   daily ,\t4weekly  ", { daily: 7, weekly: 4 }],
    ["7 Daily, 4 WEEKLY", { daily: 7, weekly: 4 }],
    ["7 days, 1 week, 12 months, 3 years, 24 hours", { daily: 7, weekly: 1, monthly: 12, yearly: 3, hourly: 24 }],
    ["1 day, 1 hour, 1 month, 1 year, 2 weeklies", { daily: 1, hourly: 1, monthly: 1, yearly: 1, weekly: 2 }],
    ["7 daily\n4 weekly\r\n5 last\n", { daily: 7, weekly: 4, last: 5 }],
    ["7 daily,,4 weekly,", { daily: 7, weekly: 4 }],
    ["007 daily", { daily: 7 }],
    ["1000000 last", { last: 1_000_000 }],
    ["plash", { hourly: 5, daily: 2, weekly: 2, monthly: 2 }],
    [" Plash ", { hourly: 5, daily: 2, weekly: 2, monthly: 2 }],
    ["plash, 3 yearly", { hourly: 5, daily: 2, weekly: 2, monthly: 2, yearly: 3 }],
  ];
  for (const [text, policy] of cases) assert.deepEqual(parseKeep(text), policy, text);
});

Deno.test("parseKeep() names what it cannot read", () => {
  const cases: [string, RegExp][] = [
    ["", /it is empty/],
    [" , \n", /it is empty/],
    ["7 daily, 3 fortnightly", /"3 fortnightly" is not a count/],
    ["7d", /"7d" is not a count/],
    ["7", /"7" is not a count/],
    ["daily 7", /"daily 7" is not a count/],
    ["-7 daily", /"-7 daily" is not a count/],
    ["1.5 daily", /"1.5 daily" is not a count/],
    ["7 daily 4 weekly", /"7 daily 4 weekly" is not a count/],
    ["7 daily; 4 weekly", /"7 daily; 4 weekly" is not a count/],
    ["７ daily", /is not a count/],
    ["5 plash", /"5 plash" is not a count/],
    ["constructor", /"constructor" is not a count/],
    ["daily", /"daily" has no count/],
    ["7 daily, 0 weekly", /"0 weekly" keeps nothing/],
    ["7 daily, 3 days", /daily twice, 7 and 3/],
    ["plash, 3 daily", /daily twice, 2 and 3/],
    ["1000001 last", /more than a million/],
    ["9".repeat(400) + " last", /more than a million/],
  ];
  for (const [text, message] of cases) {
    const wanted = { name: "AmberError", code: "USAGE", message, hint: /--keep "24 hourly, 7 daily.*plash/ };
    assert.throws(() => parseKeep(text), wanted, text);
  }
});

Deno.test("describeKeep() gives what parseKeep() reads", () => {
  assert.equal(describeKeep({ last: 5, daily: 7, hourly: 24 }), "24 hourly, 7 daily, 5 last");
  assert.equal(describeKeep({}), "");
  for (const text of ["5 hourly, 2 daily, 2 weekly, 2 monthly", "3 yearly, 1 last"]) {
    assert.equal(describeKeep(parseKeep(text)), text);
  }
});
