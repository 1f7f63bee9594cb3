import { Buffer } from "node:buffer";
import { constants, createZstdDecompress, zstdDecompressSync } from "node:zlib";
import { inside, type ZstdContext } from "./zstd_context.ts";

/**
 * Opens zstd frames with one context for all of them. zstdDecompressSync() makes a new one each time, which takes seven
 * times as long on frames of 2 MiB, and leaves 2 MB each for the garbage collector. What is used of node:zlib for that is
 * not documented; where it is missing, or says anything but that all went well, zstdDecompressSync() has the last word.
 */
export class Decompressor {
  #inside = inside(createZstdDecompress());

  /** Fills the sink with what is in a frame, whose content is still to be checked. False: ask fillSlowly(). */
  fill(frame: Uint8Array, sink: Uint8Array): boolean {
    return this.#inside !== undefined && isFilled(this.#inside, frame, sink);
  }

  /** The same. @throws {Error} when the frame is damaged, or has not as many bytes as the sink. */
  fillSlowly(frame: Uint8Array, sink: Uint8Array): void {
    this.#inside = inside(createZstdDecompress()); // after a failure a context cannot be used any more
    const opened = zstdDecompressSync(frame, { maxOutputLength: sink.length });
    if (opened.length !== sink.length) throw new Error(`it has ${opened.length} bytes instead of ${sink.length}`);
    sink.set(opened);
  }
}

function isFilled({ _handle, _writeState }: ZstdContext, frame: Uint8Array, sink: Uint8Array): boolean {
  _writeState.fill(0xffff_ffff); // a failed call leaves it as it is
  try {
    _handle.reset();
    const source = Buffer.from(frame.buffer, frame.byteOffset, frame.byteLength);
    _handle.writeSync(constants.ZSTD_e_end, source, 0, source.length, sink, 0, sink.length);
    const [room, left] = _writeState;
    if (room !== 0 || left! > source.length) return false;
    if (left === 0) return true;
    // It stops when the sink is full. What is left must be the frame's end alone.
    _handle.writeSync(constants.ZSTD_e_end, source, source.length - left!, left!, new Uint8Array(1), 0, 1);
    return _writeState[0] === 1 && _writeState[1] === 0;
  } catch {
    return false; // another runtime: said by whom is asked next
  }
}
