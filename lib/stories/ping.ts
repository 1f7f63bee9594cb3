import { formatDuration } from "../duration.ts";

/** What a health check is told: a run has begun, has ended well, or has not. */
export type Ping = "start" | "success" | "fail";

export interface PingOptions {
  /**
   * What a person reads beside the check, sent with success and failure. It leaves this machine: secrets must have been
   * taken out. Cut to 10 kB, which is what health checks keep.
   */
  text?: string;
  /** Aborting it ends the ping. After a signal, when the run's own is aborted already, give another one. */
  stop: AbortSignal;
  /** Longest wait for the whole of it, ms. */
  timeoutMs?: number;
  fetch?: typeof fetch;
}

const maxTextBytes = 10_000;

/** As much of an answer as is read: health checks say "OK". */
const maxAnswerBytes = 1_000;

/**
 * Tells a health check, in the way of healthchecks.io: `URL/start`, `URL`, `URL/fail`. What stands behind the path stays
 * behind it: `https://hc.example/abc?create=1` becomes `https://hc.example/abc/start?create=1`. Redirects are followed.
 *
 * @returns Why nobody was told, for a note, without the address, which is a secret; undefined when it went well. It never
 * throws: no run fails because of a ping.
 */
export async function ping(url: string, what: Ping, options: PingOptions): Promise<string | undefined> {
  const { text = "", stop, timeoutMs = 10_000 } = options;
  const late = new AbortController();
  const timer = setTimeout(() => late.abort(), timeoutMs);
  const send = options.fetch ?? ((input, init) => fetch(input, init));
  try {
    const response = await send(addressOf(url, what), {
      signal: AbortSignal.any([stop, late.signal]),
      ...(what === "start"
        ? {}
        : { method: "POST", body: cut(text), headers: { "content-type": "text/plain; charset=utf-8" } }),
    });
    if (!response.ok) {
      await response.body?.cancel();
      return `the answer was status ${response.status}`;
    }
    // healthchecks.io has status 200 for an address that it does not know: "OK (not found)".
    const [complaint] = /^OK \([a-z ]{1,40}\)/.exec(await readBeginning(response)) ?? [];
    return complaint && `the answer was "${complaint}"`;
  } catch (error) {
    if (late.signal.aborted) return `there was no answer within ${formatDuration(timeoutMs)}`;
    if (stop.aborted) return "it was interrupted";
    return reasonOf(error);
  } finally {
    clearTimeout(timer);
  }
}

function addressOf(url: string, what: Ping): URL {
  const address = new URL(url);
  if (what !== "success") address.pathname = `${address.pathname.replace(/\/+$/, "")}/${what}`;
  return address;
}

/** The text without what would be too much, ending with a whole character. */
function cut(text: string): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(maxTextBytes);
  return bytes.subarray(0, new TextEncoder().encodeInto(text, bytes).written);
}

/** The first bytes of an answer: one without an end must not keep a run from ending. */
async function readBeginning(response: Response): Promise<string> {
  let text = "";
  const decoder = new TextDecoder();
  for await (const bytes of response.body ?? []) {
    text += decoder.decode(bytes, { stream: true });
    if (text.length >= maxAnswerBytes) break;
  }
  return text;
}

/** Words of our own: those of fetch() repeat the address, which may hold any of the words looked for, too. */
function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return "it could not be reached";
  const words = [error, error.cause].map((one) => one instanceof Error ? one.message : "").join(" ")
    .replace(/https?:\/\/\S*/gi, "");
  if (/connection refused/i.test(words)) return "the connection was refused";
  if (/dns error|failed to lookup/i.test(words)) return "the name of its server is not known";
  if (/certificate|tls|InvalidContentType/i.test(words)) return "its server's TLS is not to be trusted";
  if (/redirect/i.test(words)) return "it was sent on and on, or elsewhere than to http";
  if (/closed|reset|broken pipe/i.test(words)) return "the connection was closed before there was an answer";
  return "it could not be reached";
}
