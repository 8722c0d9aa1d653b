const cleanups = new Set<() => void>()

process.once('exit', () => {
  for (const cleanup of cleanups) cleanup()
})

/** Runs a synchronous cleanup when this process ends, also where a test failed before it could. */
export function onExit(cleanup: () => void): void {
  cleanups.add(cleanup)
}
