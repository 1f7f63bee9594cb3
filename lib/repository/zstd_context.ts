/** What node:zlib's streams have inside, and its synchronous functions use as well. */
export interface ZstdContext {
  _handle: {
    reset(): void;
    writeSync(
      flush: number,
      source: Uint8Array,
      from: number,
      size: number,
      sink: Uint8Array,
      at: number,
      room: number,
    ): void;
  };
  /** Room left in the sink, bytes left of the source: after a call. */
  _writeState: Uint32Array;
}

/** The context of a stream; undefined where it is not there: it is not documented. */
export function inside(stream: unknown): ZstdContext | undefined {
  const { _handle, _writeState } = stream as Partial<ZstdContext>;
  const isUsable = typeof _handle?.writeSync === "function" && typeof _handle.reset === "function" &&
    _writeState instanceof Uint32Array && _writeState.length === 2;
  return isUsable ? { _handle, _writeState } : undefined;
}
