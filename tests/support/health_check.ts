/** A health check that AMBER_PING_URL names. */

export interface Told {
  what: string; // the address behind the secret part
  text: string;
}

/** One that keeps what it is told. `answer` may hold an answer back. */
export function healthCheck(answer: (told: Told) => Promise<Response> | Response = () => new Response("OK")) {
  const told: Told[] = [];
  const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {} }, async (request) => {
    const one = { what: new URL(request.url).pathname.replace("/s3cret", "") || "success", text: await request.text() };
    told.push(one);
    return await answer(one);
  });
  const url = `http://127.0.0.1:${server.addr.port}/s3cret`;
  return { url, told, [Symbol.asyncDispose]: () => server.shutdown() };
}
