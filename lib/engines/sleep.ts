/** Waits, unless `stop` is or gets aborted: then its reason is thrown. */
export function sleep(ms: number, stop?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (stop?.aborted) return reject(stop.reason);
    const timer = setTimeout(() => (stop?.removeEventListener("abort", aborted), resolve()), ms);
    const aborted = () => (clearTimeout(timer), reject(stop!.reason));
    stop?.addEventListener("abort", aborted, { once: true });
  });
}
