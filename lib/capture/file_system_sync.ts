/** Flushes everything that was written to one file system since this was opened. */
export interface FileSystemSync extends Disposable {
  /** @throws {Error} with code EIO when the disk could not. */
  sync(): Promise<void>;
}

/** Since when the system tells of writes that failed: before, syncfs() was always content. */
const tells = [5, 8] as const;

/**
 * Many small files cost a journal commit each when they are flushed one by one; flushed together they cost one. Deno has
 * no call for that: through the C library, on Linux. undefined where that cannot be had, or could not be trusted.
 *
 * @param folder Any folder of the file system.
 */
export function openFileSystemSync(folder: string): FileSystemSync | undefined {
  if (Deno.build.os !== "linux" || !isRecent(Deno.osRelease())) return undefined;
  try {
    const library = Deno.dlopen("libc.so.6", {
      open: { parameters: ["buffer", "i32"], result: "i32" },
      close: { parameters: ["i32"], result: "i32" },
      syncfs: { parameters: ["i32"], result: "i32", nonblocking: true },
    });
    const closeOnExec = 0o2000000;
    const descriptor = library.symbols.open(new TextEncoder().encode(`${folder}\0`), closeOnExec);
    if (descriptor < 0) {
      library.close();
      return undefined;
    }
    return {
      sync: async () => {
        if (await library.symbols.syncfs(descriptor) === 0) return;
        throw Object.assign(new Error(`the disk could not keep what was written to "${folder}"`), { code: "EIO" });
      },
      [Symbol.dispose]: () => {
        library.symbols.close(descriptor);
        library.close();
      },
    };
  } catch {
    return undefined; // another C library
  }
}

function isRecent(release: string): boolean {
  const [major = 0, minor = 0] = release.split(".").map(Number);
  return major > tells[0] || (major === tells[0] && minor >= tells[1]);
}
