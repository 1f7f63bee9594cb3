/** A network between a client and a server that fails at a chosen message of the protocol. */

export interface NetworkOptions {
  /** Which message of the first connection does not arrive, from 1, in both directions together. Default: none. */
  at?: number;
  /**
   * `cut` closes that connection. `swallow` lets nothing through any more, on any connection, and closes none.
   * `forget` does so to that connection alone, as a router does that has lost sight of it.
   */
  how?: "cut" | "swallow" | "forget";
}

export interface FailingNetwork extends AsyncDisposable {
  port: number;
  /** Messages of the first connection that have arrived. */
  passed: number;
  /** Resolves when it fails. */
  failed: Promise<void>;
  /** Fails now. */
  fail(): void;
}

/** Leads to a server's port without TLS. */
export function startNetwork(target: { host: string; port: number }, options: NetworkOptions = {}): FailingNetwork {
  const { at = Infinity, how = "cut" } = options;
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const open = new Set<Deno.Conn>();
  const failed = Promise.withResolvers<void>();
  let isFailed = false;
  let count = 0;
  let first: Deno.Conn[] = [];

  const fail = () => {
    if (isFailed) return;
    isFailed = true;
    failed.resolve();
    if (how === "cut") { for (const conn of first) close(conn); }
  };
  const close = (conn: Deno.Conn) => {
    if (open.delete(conn)) conn.close();
  };
  /** Passes on whole messages; false when this one does not arrive. */
  const mayPass = (isFirst: boolean): boolean => {
    if (isFailed && how === "swallow") return false;
    if (!isFirst) return true;
    if (isFailed || network.passed + 1 >= at) return (fail(), false);
    network.passed++;
    return true;
  };
  const carry = async (
    from: Deno.Conn,
    to: Deno.Conn,
    { isFirst, isClient }: { isFirst: boolean; isClient: boolean },
  ) => {
    let hasKind = !isClient; // the client's first message has no kind in front
    let rest = new Uint8Array(0);
    const buffer = new Uint8Array(65536);
    try {
      for (let size = await from.read(buffer); size !== null; size = await from.read(buffer)) {
        const bytes = new Uint8Array(rest.length + size);
        bytes.set(rest);
        bytes.set(buffer.subarray(0, size), rest.length);
        let start = 0;
        for (;;) {
          const head = hasKind ? 1 : 0;
          if (bytes.length - start < head + 4) break;
          const end = start + head + new DataView(bytes.buffer).getUint32(start + head);
          if (end > bytes.length) break;
          if (mayPass(isFirst)) await writeAll(to, bytes.subarray(start, end));
          hasKind = true;
          start = end;
        }
        rest = bytes.slice(start);
      }
    } catch (error) {
      // Either side was closed, by itself or by us.
      if (!(error instanceof Deno.errors.BadResource || error instanceof Deno.errors.Interrupted || isGone(error))) {
        throw error;
      }
    }
    if (isFailed && (how === "swallow" || (isFirst && how === "forget"))) return; // the others do not even learn of an end
    close(from);
    close(to);
  };

  const running: Promise<void>[] = [];
  const accept = async () => {
    for await (const client of listener) {
      open.add(client);
      if (isFailed && how === "swallow") continue;
      const server = await Deno.connect({ hostname: target.host, port: target.port });
      open.add(server);
      const isFirst = count++ === 0;
      if (isFirst) first = [client, server];
      running.push(
        carry(client, server, { isFirst, isClient: true }),
        carry(server, client, { isFirst, isClient: false }),
      );
    }
  };
  const accepting = accept();

  const network: FailingNetwork = {
    port: (listener.addr as Deno.NetAddr).port,
    passed: 0,
    failed: failed.promise,
    fail,
    async [Symbol.asyncDispose]() {
      listener.close();
      for (const conn of [...open]) close(conn);
      await accepting;
      await Promise.all(running);
    },
  };
  return network;
}

async function writeAll(to: Deno.Conn, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length;) at += await to.write(bytes.subarray(at));
}

function isGone(error: unknown): boolean {
  return error instanceof Deno.errors.ConnectionReset || error instanceof Deno.errors.BrokenPipe ||
    error instanceof Deno.errors.ConnectionAborted || error instanceof Deno.errors.NotConnected;
}
