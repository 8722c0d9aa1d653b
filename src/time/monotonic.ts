/**
 * Milliseconds of a monotonic clock that is the same in every thread, other than performance.now, which counts from each
 * thread's start.
 */
export function monotonicMs(): number {
  const [seconds, nanoseconds] = process.hrtime()
  return seconds * 1000 + nanoseconds / 1e6
}
