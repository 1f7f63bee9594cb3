import { ConnectionLost } from "./connection_failure.ts";
import { copyMessage, type CopySocket } from "./copy_socket.ts";
import { Interruption } from "./interruption.ts";

/** What COPY needs of a connection on which nothing else runs. */
export interface CopySession {
  socket: CopySocket;
  /** Sends the statement. The answer says how many rows there were; it rejects as queries do. */
  send(text: string): Promise<number>;
  /** Asks the server to stop; never rejects. */
  cancel(): Promise<void>;
  /** The connection is free for others again. */
  end(): void;
}

export interface CopyOptions {
  /** Stops the COPY; its reason is thrown. */
  signal?: AbortSignal;
}

/** Rows that have arrived and were not asked for yet: above the first the server has to wait, below the second it goes on. */
const mostBytes = 1024 * 1024;
const fewBytes = mostBytes / 4;
/** The driver and the server take whole messages: larger ones cost memory in both and are no faster. */
const messageBytes = 64 * 1024;
/** After so many messages everything else gets its turn. */
const restAfter = 4;
/** How long a COPY may take to end after it was told to. Then the connection is closed. */
const patienceMs = 10_000;

/**
 * Runs `COPY … TO STDOUT` and gives its bytes in order, cut anywhere, while the server waits for a slow reader. It
 * begins with the first `next()`. A reader that stops early ends it on the server; the connection can then be used, or
 * is closed when the server does not answer. In a transaction that is the end of the transaction, as after any error.
 *
 * @throws {StatementFailure}, {ConnectionLost}
 */
export async function* copyOut(
  begin: () => CopySession,
  text: string,
  { signal }: CopyOptions = {},
): AsyncGenerator<Uint8Array, void, void> {
  signal?.throwIfAborted();
  const session = begin();
  const { socket } = session;
  const chunks: Uint8Array[] = [];
  let size = 0;
  let isStopped = false;
  let ended: { error?: unknown } | undefined;
  let news = Promise.withResolvers<void>();
  const wake = () => news.resolve();
  signal?.addEventListener("abort", wake);
  socket.receiver = {
    begun() {},
    data(bytes) {
      if (isStopped) return;
      chunks.push(bytes);
      size += bytes.length;
      if (size > mostBytes) socket.pause();
      wake();
    },
  };
  const answer = session.send(text).then(() => ended = {}, (error) => ended = { error }).finally(wake);
  try {
    for (;;) {
      signal?.throwIfAborted();
      const chunk = chunks.shift();
      if (chunk) {
        size -= chunk.length;
        if (size < fewBytes && socket.isPaused) socket.resume();
        yield chunk;
      } else if (ended) {
        if ("error" in ended) throw ended.error;
        return;
      } else {
        await news.promise;
        news = Promise.withResolvers();
      }
    }
  } finally {
    isStopped = true;
    signal?.removeEventListener("abort", wake);
    if (!ended) {
      // Held up until it has heard: it could be done by then, and all for nothing.
      socket.pause();
      await session.cancel();
      socket.resume();
      await settle(session, answer);
    }
    if (socket.isPaused) socket.resume();
    socket.receiver = undefined;
    session.end();
  }
}

/**
 * Runs `COPY … FROM stdin` with the bytes of `source`, which is read only as fast as the server takes them. It settles
 * in every case: when the server refuses a row, when the source fails or is stopped (its error is thrown, and nothing
 * was copied), when the connection is lost.
 *
 * @returns how many rows the server took.
 * @throws {StatementFailure}, {ConnectionLost}, and what `source` throws.
 */
export async function copyIn(
  begin: () => CopySession,
  text: string,
  source: AsyncIterable<Uint8Array>,
  { signal }: CopyOptions = {},
): Promise<number> {
  signal?.throwIfAborted();
  const session = begin();
  const { socket } = session;
  const begun = Promise.withResolvers<void>();
  let hasBegun = false;
  const stop = new Interruption();
  const abort = () => stop.end(signal!.reason);
  signal?.addEventListener("abort", abort);
  let isEnded = false;
  socket.receiver = { begun: () => (hasBegun = true, begun.resolve()), data() {} };
  const answer = session.send(text).finally(() => isEnded = true);
  // An answer in the middle is a refusal; one that is none means that the text was no COPY FROM stdin.
  let isComplete = false;
  answer.then(() => {
    if (!isComplete) stop.end(new TypeError(`not a COPY FROM stdin: ${text.slice(0, 80)}`));
  }, (error) => stop.end(error));
  try {
    await stop.during(begun.promise);
    let count = 0;
    for await (const piece of messages(source, stop)) {
      // A source that never waits, and a kernel that takes everything at once, would let nobody hear of the refusal.
      if (++count % restAfter === 0) await new Promise((rested) => setImmediate(rested));
      if (socket.sendCopyData(piece.message, piece.size)) continue;
      await stop.during(socket.drained());
      piece.isFree = true;
    }
    signal?.throwIfAborted();
    isComplete = true;
    socket.sendCopyDone();
    return await stop.during(answer);
  } catch (error) {
    if (!isEnded) {
      if (hasBegun) socket.sendCopyFail("the client stopped");
      // It may wait for a lock, or be busy in a trigger, and read nothing.
      await session.cancel();
      await settle(session, answer);
    }
    throw error;
  } finally {
    signal?.removeEventListener("abort", abort);
    socket.receiver = undefined;
    session.end();
  }
}

/** Gathers the source's bytes into messages of the protocol. A source that is left early is told so. */
async function* messages(source: AsyncIterable<Uint8Array>, stop: Interruption) {
  const reader = source[Symbol.asyncIterator]();
  let isReading = false;
  let isDone = false;
  let { message, start } = copyMessage(messageBytes);
  let filled = start;
  try {
    for (;;) {
      isReading = true;
      const { done, value } = await stop.during(Promise.resolve(reader.next()));
      isReading = false;
      if (done) break;
      for (let at = 0; at < value.length;) {
        const part = value.subarray(at, at + message.length - filled);
        message.set(part, filled);
        filled += part.length;
        at += part.length;
        if (filled < message.length) continue;
        const piece = { message, size: filled, isFree: false };
        yield piece;
        // The socket may still have it.
        if (!piece.isFree) ({ message, start } = copyMessage(messageBytes));
        filled = start;
      }
    }
    isDone = true;
    if (filled > start) yield { message, size: filled, isFree: false };
  } finally {
    if (!isDone) {
      const returned = Promise.resolve(reader.return?.()).catch(() => {});
      // A source that is waiting for something itself hears of it when it has it.
      if (!isReading) await returned;
    }
  }
}

/** Waits for the end of a COPY that was told to end; closes the connection when it does not come. */
async function settle({ socket }: CopySession, answer: Promise<unknown>): Promise<void> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<void>((resolve) => timer = setTimeout(resolve, patienceMs));
  const isLate = await Promise.race([answer.then(() => false, () => false), late.then(() => true)]);
  clearTimeout(timer);
  if (isLate) socket.destroy(new ConnectionLost());
}

/** A text in pieces, as COPY takes it. */
export async function* encoded(text: string): AsyncGenerator<Uint8Array, void, void> {
  const encoder = new TextEncoder();
  for (let at = 0; at < text.length;) {
    let end = Math.min(at + messageBytes, text.length);
    const last = text.charCodeAt(end - 1);
    // A character of two units stays whole.
    if (end < text.length && last >= 0xd800 && last <= 0xdbff) end++;
    yield encoder.encode(text.slice(at, end));
    at = end;
  }
}
