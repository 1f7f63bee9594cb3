import { readFileSync } from "node:fs";
import { connect as connectTcp, isIP, type Socket } from "node:net";
import type { PostgresAddress } from "../../database_url.ts";

/** A failure to reach the server, before a word of the protocol was spoken. */
export class ReachFailure extends Error {
  constructor(message: string, readonly retriable: boolean, cause?: unknown) {
    super(message, { cause });
    this.name = "ReachFailure";
  }
}

/**
 * Opens the socket for one connection: TCP or unix socket, and TLS as `sslmode` asks, with libpq's meaning
 * (postgresql.org/docs/current/libpq-ssl.html). Done here and not by the driver, which neither times out on an address
 * that never answers nor says what went wrong with TLS.
 *
 * @param timeoutMs For all of it together.
 * @throws {ReachFailure}
 */
export async function openSocket(address: PostgresAddress, timeoutMs: number): Promise<Socket> {
  const started = performance.now();
  const left = () => Math.max(1, timeoutMs - (performance.now() - started));
  const local = address.host.startsWith("/");
  const plain = await reach(address, local, left());
  if (local || address.sslmode === "disable" || address.sslmode === "allow") return plain;
  const answer = await askForTls(plain, left());
  if (answer === "S") return await startTls(plain, address, left());
  if (address.sslmode === "prefer") return plain;
  plain.destroy();
  throw new ReachFailure(`the server offers no TLS, and sslmode is "${address.sslmode}"`, false);
}

function reach(address: PostgresAddress, local: boolean, timeoutMs: number): Promise<Socket> {
  const socket = local
    ? connectTcp({ path: `${address.host}/.s.PGSQL.${address.port}` })
    : connectTcp({ host: address.host, port: address.port });
  socket.setNoDelay?.(true);
  return settle(socket, "connect", timeoutMs, () => socket);
}

function askForTls(socket: Socket, timeoutMs: number): Promise<string> {
  const request = new Uint8Array([0, 0, 0, 8, 4, 210, 22, 47]); // SSLRequest: length 8, code 80877103
  const answered = settle(socket, "data", timeoutMs, (data) => String.fromCharCode((data as Uint8Array)[0] ?? 0));
  socket.write(request);
  return answered;
}

async function startTls(socket: Socket, address: PostgresAddress, timeoutMs: number): Promise<Socket> {
  const { connect: connectTls } = await import("node:tls");
  const verifies = address.sslmode === "verify-full" || address.sslmode === "verify-ca";
  let ca: string | undefined;
  if (address.sslrootcert && address.sslrootcert !== "system") {
    try {
      ca = readFileSync(address.sslrootcert, "utf8");
    } catch (cause) {
      throw new ReachFailure(`the file that sslrootcert names cannot be read`, false, cause);
    }
  }
  const secure = connectTls({
    socket,
    ...(isIP(address.host) ? {} : { servername: address.host }),
    host: address.host,
    ...(ca ? { ca } : {}),
    rejectUnauthorized: verifies || ca !== undefined,
    ...(address.sslmode === "verify-full" ? {} : { checkServerIdentity: () => undefined }),
  });
  return await settle(secure, "secureConnect", timeoutMs, () => secure as unknown as Socket);
}

/** Resolves at the first `event`; rejects, and destroys the socket, at an error, a close or the end of the time. */
function settle<T>(socket: Socket, event: string, timeoutMs: number, value: (data: unknown) => T): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(
      () => fail(new ReachFailure(`no answer within ${Math.ceil(timeoutMs / 1000)} s`, true)),
      timeoutMs,
    );
    const onEvent = (data: unknown) => (clean(), resolve(value(data)));
    const onError = (error: Error & { code?: string }) => fail(reachFailure(error));
    const onClose = () => fail(new ReachFailure("the server closed the connection", true));
    const clean = () => {
      clearTimeout(timer);
      socket.removeListener(event, onEvent);
      socket.removeListener("error", onError);
      socket.removeListener("close", onClose);
    };
    const fail = (error: ReachFailure) => {
      clean();
      socket.on("error", () => {}); // what comes after we gave up is no news
      socket.destroy();
      reject(error);
    };
    socket.once(event, onEvent);
    socket.once("error", onError);
    socket.once("close", onClose);
  });
}

function reachFailure(error: Error & { code?: string }): ReachFailure {
  const words: Record<string, string> = {
    ECONNREFUSED: "the connection was refused: no server listens there",
    ENOTFOUND: "its host name is not known",
    EAI_AGAIN: "its host name cannot be looked up now",
    ENOENT: "there is no socket: no server listens there",
    ECONNRESET: "the server closed the connection",
    EHOSTUNREACH: "the host cannot be reached",
    ENETUNREACH: "the network cannot be reached",
    ETIMEDOUT: "no answer",
    EACCES: "its socket may not be opened by this user",
  };
  const code = error.code ?? (/getaddrinfo|failed to lookup|not known/i.test(error.message) ? "ENOTFOUND" : "");
  // Anything else, a certificate above all, will not get better by waiting.
  return code in words
    ? new ReachFailure(words[code]!, code !== "EACCES", error)
    : new ReachFailure(`TLS or network: ${error.message}`, false, error);
}
