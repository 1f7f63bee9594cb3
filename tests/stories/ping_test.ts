import assert from "node:assert/strict";
import { ping, type PingOptions } from "../../lib/stories/ping.ts";
import { freePort } from "../support/keeper.ts";

interface Check extends AsyncDisposable {
  url: string;
  /** What has arrived: method, path with query, body. */
  requests: string[];
}

/** A health check that answers in the given way. */
function check(answer: (request: Request) => Response | Promise<Response> = () => new Response("OK")): Check {
  const requests: string[] = [];
  const server = Deno.serve({ port: 0, hostname: "127.0.0.1", onListen: () => {} }, async (request) => {
    const { pathname, search } = new URL(request.url);
    requests.push([request.method, pathname + search, await request.text()].join(" ").trimEnd());
    return await answer(request);
  });
  return {
    url: `http://127.0.0.1:${server.addr.port}/s3cret`,
    requests,
    [Symbol.asyncDispose]: () => server.shutdown(),
  };
}

const options = (more: Partial<PingOptions> = {}): PingOptions => ({ stop: new AbortController().signal, ...more });

/** Pings, and sees to it that the reason does not tell the secret address. */
async function reason(url: string, more: Partial<PingOptions> = {}): Promise<string | undefined> {
  const given = await ping(url, "fail", options({ text: "x", ...more }));
  assert.doesNotMatch(given ?? "", /s3cret|127\.0\.0\.1|localhost/);
  return given;
}

Deno.test("ping() tells a health check that a run has begun, ended well or failed", async () => {
  await using at = check();
  assert.equal(await ping(at.url, "start", options({ text: "not sent" })), undefined);
  assert.equal(await ping(at.url, "success", options({ text: "812 files" })), undefined);
  assert.equal(await ping(at.url, "fail", options({ text: "Cannot äöü" })), undefined);
  assert.equal(await ping(at.url, "success", options()), undefined);
  assert.deepEqual(at.requests, [
    "GET /s3cret/start",
    "POST /s3cret 812 files",
    "POST /s3cret/fail Cannot äöü",
    "POST /s3cret",
  ]);
});

Deno.test("ping() keeps what stands behind the path", async () => {
  await using at = check();
  for (const end of ["?create=1&rid=a%2Fb", "/?create=1", "/#x", ""]) {
    for (const what of ["start", "success"] as const) await ping(at.url + end, what, options());
  }
  assert.deepEqual(at.requests, [
    "GET /s3cret/start?create=1&rid=a%2Fb",
    "POST /s3cret?create=1&rid=a%2Fb",
    "GET /s3cret/start?create=1",
    "POST /s3cret/?create=1",
    "GET /s3cret/start",
    "POST /s3cret/",
    "GET /s3cret/start",
    "POST /s3cret",
  ]);
});

Deno.test("ping() logs in when the address holds a login", async () => {
  const logins: (string | null)[] = [];
  await using at = check((request) => (logins.push(request.headers.get("authorization")), new Response("OK")));
  assert.equal(await reason(at.url.replace("//", "//ann:p%40w@")), undefined);
  assert.deepEqual(logins, [`Basic ${btoa("ann:p@w")}`]);
});

Deno.test("ping() sends no more than 10 kB, and only whole characters", async () => {
  await using at = check();
  assert.equal(await ping(at.url, "fail", options({ text: `x${"ä".repeat(10_000)}` })), undefined);
  assert.equal(at.requests[0], `POST /s3cret/fail x${"ä".repeat(4_999)}`);
});

Deno.test("ping() says that a server never answers, and does not wait for longer", async () => {
  using listener = Deno.listen({ port: 0, hostname: "127.0.0.1" });
  const started = performance.now();
  const url = `http://127.0.0.1:${listener.addr.port}/s3cret`;
  assert.equal(await reason(url, { timeoutMs: 200 }), "there was no answer within 200 ms");
  assert.ok(performance.now() - started < 5_000);
});

Deno.test("ping() does not wait for an answer that never ends, nor for one that stops in the middle", async () => {
  const endless = () => new ReadableStream({ pull: (controller) => controller.enqueue(new Uint8Array(64_000)) });
  {
    await using at = check(() => new Response(endless()));
    assert.equal(await reason(at.url), undefined);
  }
  using listener = Deno.listen({ port: 0, hostname: "127.0.0.1" });
  const url = `http://127.0.0.1:${listener.addr.port}/s3cret`;
  const pinged = reason(url, { timeoutMs: 500 });
  using connection = await listener.accept();
  await connection.write(new TextEncoder().encode("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nO"));
  assert.equal(await pinged, "there was no answer within 500 ms");
});

Deno.test("ping() gives the reason when nobody was told", async () => {
  await using failing = check(() => new Response("s3cret", { status: 500 }));
  assert.equal(await reason(failing.url), "the answer was status 500");
  await using absent = check(() => new Response("", { status: 404, statusText: "s3cret" }));
  assert.equal(await reason(absent.url), "the answer was status 404");
  await using unknown = check(() => new Response("OK (not found)"));
  assert.equal(await reason(unknown.url), 'the answer was "OK (not found)"');
  await using chatty = check(() => new Response("OK (s3cret: 127.0.0.1)"));
  assert.equal(await reason(chatty.url), undefined);
  assert.equal(await reason(`http://127.0.0.1:${freePort()}/s3cret-closed`), "the connection was refused");
  // As it was thrown for a real name; behind a proxy the proxy would answer instead.
  const cause = new Error(
    "error sending request for url (http://s3cret.invalid/tls): client error (Connect): dns error",
  );
  const lost = { fetch: () => Promise.reject(new TypeError("fetch failed", { cause })) };
  assert.equal(await reason("http://s3cret.invalid/tls", lost), "the name of its server is not known");
  assert.equal(await reason(failing.url.replace("http:", "https:")), "its server's TLS is not to be trusted");
  assert.equal(await reason("http://127.0.0.1:1/s3cret"), "it could not be reached"); // a port that fetch() refuses
  assert.equal(await reason("s3cret"), "it could not be reached");
  const listener = Deno.listen({ port: 0, hostname: "127.0.0.1" });
  const closing = (async () => {
    for await (const connection of listener) connection.close();
  })();
  const closed = await reason(`http://127.0.0.1:${listener.addr.port}/s3cret`);
  assert.equal(closed, "the connection was closed before there was an answer");
  listener.close();
  await closing;
});

Deno.test("ping() follows redirects, but not for ever", async () => {
  await using at = check();
  for (const status of [301, 302, 307, 308]) {
    await using moved = check(() => new Response(null, { status, headers: { location: `${at.url}/new` } }));
    assert.equal(await reason(moved.url, { text: `${status}` }), undefined);
  }
  assert.deepEqual(at.requests, [
    "GET /s3cret/new",
    "GET /s3cret/new",
    "POST /s3cret/new 307",
    "POST /s3cret/new 308",
  ]);
  const elsewhere = "it was sent on and on, or elsewhere than to http";
  await using circle = check((request) => Response.redirect(request.url, 302));
  assert.equal(await reason(circle.url), elsewhere);
  await using ftp = check(() => new Response(null, { status: 302, headers: { location: "ftp://127.0.0.1/s3cret" } }));
  assert.equal(await reason(ftp.url), elsewhere);
});

Deno.test("ping() ends when the run is stopped", async () => {
  using listener = Deno.listen({ port: 0, hostname: "127.0.0.1" });
  const url = `http://127.0.0.1:${listener.addr.port}/s3cret`;
  const stop = new AbortController();
  const pinged = reason(url, { stop: stop.signal });
  using _connection = await listener.accept();
  stop.abort(new Error("s3cret"));
  assert.equal(await pinged, "it was interrupted");
  assert.equal(await reason(url, { stop: stop.signal }), "it was interrupted");
});

Deno.test("ping() never throws, whatever fetch() throws", async () => {
  for (const thrown of [new Error("s3cret", { cause: "s3cret" }), "s3cret", undefined, new RangeError()]) {
    assert.equal(await reason("http://hc.example", { fetch: () => Promise.reject(thrown) }), "it could not be reached");
  }
});
