import { constants, createZstdCompress, zstdCompressSync } from "node:zlib";
import { frameTarget } from "./pack.ts";
import { inside } from "./zstd_context.ts";

/** Level 3: 335 MB/s, and a third smaller than level 1 on rows of text (`deno task bench`). */
const settings = { params: { [constants.ZSTD_c_compressionLevel]: 3 } };

/** More than any frame can become: what cannot be compressed grows by a few bytes. */
const sinkSize = frameTarget + (64 << 10);

/**
 * Makes zstd frames with one context for all of them: zstdCompressSync() makes a new one each time, which costs a third
 * more time and 50 MB more memory. As with Decompressor, it has the last word where anything is not as expected.
 */
export class Compressor {
  readonly #context = inside(createZstdCompress(settings));
  readonly #sink = new Uint8Array(sinkSize);

  /** A frame with these bytes; its memory is its own. */
  frame(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
    const size = this.#fill(bytes);
    if (size > 0) return this.#sink.slice(0, size);
    return new Uint8Array(zstdCompressSync(bytes, settings));
  }

  /** Bytes of the frame in the sink; 0 when it could not be made like this. */
  #fill(bytes: Uint8Array): number {
    if (!this.#context || bytes.length > frameTarget) return 0;
    const { _handle, _writeState } = this.#context;
    _writeState.fill(0xffff_ffff); // a failed call leaves it as it is
    try {
      _handle.reset();
      _handle.writeSync(constants.ZSTD_e_end, bytes, 0, bytes.length, this.#sink, 0, sinkSize);
    } catch {
      return 0; // another runtime
    }
    const [room, left] = _writeState;
    return left === 0 && room! > 0 && room! < sinkSize ? sinkSize - room! : 0;
  }
}
