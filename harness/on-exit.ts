const cleanups = new Set<() => void>()

process.once('exit', () => {
  for (const cleanup of cleanups) cleanup()
})

/** Runs a synchronous cleanup when this process ends, however its tests end. */
export function onExit(cleanup: () => void): void {
  cleanups.add(cleanup)
}
