import { existsSync } from 'node:fs'
import { dirname } from 'node:path'

/** A path, or the nearest folder above it that exists: it may be yet to be made. Blocks. */
export function nearestExisting(path: string): string {
  const above = dirname(path)
  return existsSync(path) || above === path ? path : nearestExisting(above)
}
