import { Buffer } from "node:buffer";
import { EventEmitter } from "node:events";
import type { Socket } from "node:net";

/** Who takes part in the COPY that runs. */
export interface CopyReceiver {
  /** The server waits for rows (COPY FROM stdin), or begins to send them. */
  begun(direction: "in" | "out"): void;
  /** Bytes of rows, cut anywhere. They belong to the receiver. */
  data(bytes: Uint8Array): void;
}

// The first byte of a message (postgresql.org/docs/current/protocol-message-formats.html).
const copyData = 0x64; // d
const copyDone = 0x63; // c
const copyInResponse = 0x47; // G
const copyOutResponse = 0x48; // H
const copyFail = 0x66; // f
const headerSize = 5; // the kind, then the length with itself and without the kind

/**
 * The socket as the driver sees it: COPY's own messages are taken out of what the server sends, and everything else is
 * passed on as it came. To the driver a COPY is a statement without rows, which ends or is refused like any other. Its
 * own COPY hands each row to a stream of its own, leaves the connection paused when a reader has finished, and never
 * tells a writer that the server has refused.
 */
export class CopySocket extends EventEmitter {
  receiver?: CopyReceiver;
  /** When the server was last heard, as performance.now() counts. */
  heardAtMs: number = performance.now();
  #header = Buffer.alloc(headerSize);
  #headerFilled = 0;
  #kind = 0;
  /** Bytes of the message's body that have not come yet. */
  #left = 0;
  #isPaused = false;

  constructor(private readonly socket: Socket) {
    super();
    socket.on("data", (bytes: Buffer) => this.#take(bytes));
    socket.on("drain", () => this.emit("drain"));
    socket.on("close", (hadError: boolean) => this.emit("close", hadError));
    socket.on("error", (error: Error) => {
      if (this.listenerCount("error") > 0) this.emit("error", error);
    });
  }

  get readyState(): string {
    return this.socket.readyState;
  }

  get isPaused(): boolean {
    return this.#isPaused;
  }

  setKeepAlive(on: boolean, afterMs: number): void {
    this.socket.setKeepAlive?.(on, afterMs);
  }

  write(bytes: Uint8Array, done?: () => void): boolean {
    return this.socket.write(bytes, done);
  }

  /** When there is room for more to be sent. */
  drained(): Promise<void> {
    if (!this.socket.writableNeedDrain) return Promise.resolve();
    return new Promise((resolve) => this.socket.once("drain", resolve));
  }

  end(bytes?: Uint8Array): void {
    if (bytes) this.socket.end(bytes);
    else this.socket.end();
  }

  destroy(error?: Error): void {
    this.socket.destroy(error);
  }

  pause(): void {
    this.#isPaused = true;
    this.socket.pause();
    handleBelow(this.socket)?.readStop();
  }

  resume(): void {
    this.#isPaused = false;
    handleBelow(this.socket)?.readStart();
    this.socket.resume();
  }

  /** Sends the first `size` bytes of `message`, made by copyMessage(). False: wait for "drain" before sending more. */
  sendCopyData(message: Buffer, size: number): boolean {
    message[0] = copyData;
    message.writeUInt32BE(size - 1, 1);
    return this.socket.write(message.subarray(0, size));
  }

  sendCopyDone(): void {
    this.socket.write(Buffer.from([copyDone, 0, 0, 0, 4]));
  }

  /** The server ends the COPY with an error that quotes `reason`. */
  sendCopyFail(reason: string): void {
    const text = Buffer.from(reason.replaceAll("\0", "") + "\0");
    const header = Buffer.alloc(headerSize);
    header[0] = copyFail;
    header.writeUInt32BE(text.length + 4, 1);
    this.socket.write(Buffer.concat([header, text]));
  }

  #take(bytes: Buffer): void {
    this.heardAtMs = performance.now();
    let at = 0;
    let passFrom = 0; // bytes from here to `passTo` are the driver's and have not been passed on
    let passTo = 0;
    let packed = 0; // rows have been moved together at the front of `bytes`, which nobody else looks at any more
    const pass = () => {
      if (passTo > passFrom) this.emit("data", bytes.subarray(passFrom, passTo));
      passFrom = passTo = at;
    };
    while (at < bytes.length) {
      if (this.#left === 0) {
        const isSplit = this.#headerFilled > 0 || bytes.length - at < headerSize;
        if (isSplit) {
          const taken = bytes.copy(this.#header, this.#headerFilled, at, at + headerSize - this.#headerFilled);
          this.#headerFilled += taken;
          at += taken;
          if (this.#headerFilled < headerSize) break;
          this.#headerFilled = 0;
          this.#kind = this.#header[0]!;
          this.#left = this.#header.readUInt32BE(1) - 4;
        } else {
          this.#kind = bytes[at]!;
          this.#left = bytes.readUInt32BE(at + 1) - 4;
          at += headerSize;
        }
        if (this.#isOurs()) {
          this.#begun();
          continue;
        }
        if (isSplit) {
          pass();
          this.emit("data", Buffer.from(this.#header));
          passFrom = passTo = at;
        } else {
          if (passTo !== at - headerSize) (pass(), passFrom = at - headerSize);
          passTo = at;
        }
        continue;
      }
      const taken = Math.min(this.#left, bytes.length - at);
      if (this.#kind === copyData) {
        if (this.receiver) {
          // Before rows move to the front, what lies there must have reached the driver.
          if (passTo > passFrom) pass();
          if (packed !== at) bytes.copyWithin(packed, at, at + taken);
          packed += taken;
        }
      } else if (!this.#isOurs()) {
        if (passTo !== at) (pass(), passFrom = at);
        passTo = at + taken;
      }
      this.#left -= taken;
      at += taken;
    }
    // Rows first: the end of the COPY is behind them.
    if (packed > 0) this.receiver?.data(bytes.subarray(0, packed));
    pass();
  }

  #isOurs(): boolean {
    const kind = this.#kind;
    return kind === copyData || kind === copyDone || kind === copyInResponse || kind === copyOutResponse;
  }

  #begun(): void {
    if (this.#kind === copyOutResponse) this.receiver?.begun("out");
    if (this.#kind !== copyInResponse) return;
    // A statement that was not sent as a COPY: without an answer both sides would wait for ever.
    if (this.receiver) this.receiver.begun("in");
    else this.sendCopyFail("no rows were given");
  }
}

/** Room for one message of at most `sizeBytes` of rows, which begin at `headerSize`. */
export function copyMessage(sizeBytes: number): { message: Buffer; start: number } {
  return { message: Buffer.allocUnsafe(headerSize + sizeBytes), start: headerSize };
}

/** What reads for a socket, inside the runtime. */
interface ReadHandle {
  readStop(): void;
  readStart(): void;
}

/**
 * Under TLS: what reads the encrypted bytes. Deno's TLS (2.9.4) goes on reading while it is paused, and keeps what comes
 * in memory without bound: 490 MB of a COPY of 490 MB. Only what is below it can be stopped, and only there.
 */
function handleBelow(socket: Socket): ReadHandle | undefined {
  return (socket as { _parent?: { _handle?: ReadHandle } })._parent?._handle ?? undefined;
}
