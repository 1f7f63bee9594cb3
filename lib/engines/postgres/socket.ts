import { readFileSync } from "node:fs";
import { connect as connectTcp, isIP, type Socket } from "node:net";
import type { PostgresAddress } from "../../database_url.ts";

/** A failure to reach the server, before it said who it is. */
export class ReachFailure extends Error {
  /** What to do about it, where that is more than to wait. */
  readonly hint?: string;

  constructor(message: string, readonly retriable: boolean, { cause, hint }: { cause?: unknown; hint?: string } = {}) {
    super(message, { cause });
    this.name = "ReachFailure";
    this.hint = hint;
  }
}

const aboutTls = "https://www.postgresql.org/docs/current/libpq-ssl.html explains sslmode and sslrootcert.";

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
  if (answer === "N" && address.sslmode === "prefer") return plain;
  plain.destroy();
  if (answer === "N") {
    const hint = "Turn TLS on in the server. On a network that nobody else can listen to: sslmode=disable.";
    throw new ReachFailure(`the server offers no TLS, and sslmode is "${address.sslmode}"`, false, { hint });
  }
  // A PostgreSQL that cannot even begin a session answers with an error message, which begins with "E".
  if (answer.startsWith("E")) throw new ReachFailure("the server takes no connections now", true);
  // Waited for all the same: a proxy in front of a database that is not up yet answers so, too.
  const hint = "Check host and port: something else answers there. `amber wait` waits for it.";
  throw new ReachFailure("what listens there is not PostgreSQL", true, { hint });
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
  // One byte and no more: what follows it before TLS has begun may come from somebody in between (CVE-2021-23222).
  const answered = settle(
    socket,
    "data",
    timeoutMs,
    (data) => String.fromCharCode(...(data as Uint8Array).slice(0, 9)),
  );
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
      const hint = "Is the path right, and may this user read the file? It is relative to the working directory.";
      throw new ReachFailure("the file that sslrootcert names cannot be read", false, { cause, hint });
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
  const hints: Record<string, string> = {
    ENOTFOUND: "Check the host's name. In a container it is the service's name, and both must be on one network.",
    EACCES: "Let this user open the socket (unix_socket_permissions in postgresql.conf), or connect by TCP.",
  };
  const code = error.code ?? (/getaddrinfo|failed to lookup|not known/i.test(error.message) ? "ENOTFOUND" : "");
  // Anything else, a certificate above all, will not get better by waiting.
  if (code in words) return new ReachFailure(words[code]!, code !== "EACCES", { cause: error, hint: hints[code] });
  const hint = /certificate|CERT|altname|issuer|self.signed/i.test(`${code} ${error.message}`)
    ? `Give the certificate of the server's authority: sslrootcert=FILE, and connect by a name that is in the server's certificate. ${aboutTls}`
    : aboutTls;
  return new ReachFailure(`TLS or network: ${error.message}`, false, { cause: error, hint });
}
