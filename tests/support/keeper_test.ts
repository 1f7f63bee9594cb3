import assert from "node:assert/strict";
import { freePort, Keeper } from "./keeper.ts";
import { command, spawnCommand } from "./command.ts";
import { testWith } from "./skip.ts";
import { unprivilegedUser } from "./user.ts";

const open = () => Keeper.open({ name: "test", user: unprivilegedUser(), lastSignal: "TERM" });

Deno.test("a keeper runs commands in order and keeps what they say", async () => {
  await using keeper = await open();
  await keeper.run("echo", "it's; $HOME");
  await assert.rejects(keeper.run("false"), /false ended with status 1/);
  assert.equal(keeper.logEnd(), "it's; $HOME");
});

Deno.test("a keeper stops a server, starts it again and tells whether it runs", async () => {
  await using keeper = await open();
  assert.equal(await keeper.isAlive(), false);
  for (const _round of [1, 2]) {
    await keeper.start("sleep", "60");
    assert.equal(await keeper.isAlive(), true);
    await keeper.stop("TERM");
    assert.equal(await keeper.isAlive(), false);
  }
});

Deno.test("a keeper that is closed leaves neither server nor folder", async () => {
  const keeper = await open();
  const { pid } = await keeper.start("sleep", "60");
  await keeper.close();
  await keeper.close();
  assert.equal(await isThere(pid), false);
  await assert.rejects(Deno.stat(keeper.folder), Deno.errors.NotFound);
});

// What ends a test process, and how: the last one is a test file that forgets to stop its server.
const ends = { SIGKILL: "SIGKILL", SIGINT: "SIGINT", SIGTERM: "SIGTERM", "the end of its work": undefined } as const;

for (const [name, signal] of Object.entries(ends)) {
  testWith("postgres", `a server does not outlive the process that started it: ${name}`, async () => {
    const program = `
      import { startPostgres } from ${JSON.stringify(import.meta.resolve("./postgres.ts"))};
      const { pid, socketDir } = await startPostgres();
      console.log(JSON.stringify({ pid, socketDir }) + " ready");
      ${signal === undefined ? "" : "await new Promise((resolve) => setTimeout(resolve, 15_000));"}
    `;
    const config = new URL("../../deno.json", import.meta.url).pathname;
    await using running = spawnCommand(Deno.execPath(), ["run", "-A", "--quiet", "--config", config, "-"], {
      cwd: "/",
      stdin: program,
    });
    await running.until("ready");
    const { pid, socketDir } = JSON.parse(running.stdout.replace(" ready", ""));
    if (signal) {
      assert.equal(await isThere(pid), true);
      running.kill(signal);
    }
    await running.result;
    await until(() => !exists(socketDir));
    assert.equal(await isThere(pid), false);
  });
}

Deno.test("freePort() gives a port that can be listened on", () => {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: freePort() });
  assert.ok(listener.addr.port > 0);
});

async function isThere(pid: number): Promise<boolean> {
  return (await command("sh", ["-c", `kill -0 ${pid}`], { cwd: "/" })).code === 0;
}

function exists(path: string): boolean {
  try {
    Deno.statSync(path);
    return true;
  } catch {
    return false;
  }
}

async function until(claim: () => boolean): Promise<void> {
  const deadline = Date.now() + 20_000;
  while (!claim()) {
    assert.ok(Date.now() < deadline, `${claim} did not come true in 20 s`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
