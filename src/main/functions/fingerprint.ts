import { createHash } from 'node:crypto'
import type { FunctionSettings } from '../../store/function.js'

/**
 * Identifies settings: equal settings have equal fingerprints, on every node and in every run. 16 hexadecimal digits.
 */
export function fingerprintOf(settings: FunctionSettings): string {
  const sorted = (fields: object) => Object.entries(fields).sort(([a], [b]) => (a < b ? -1 : 1))
  const text = JSON.stringify(sorted({ ...settings, env: sorted(settings.env) }))
  return createHash('sha256').update(text).digest('hex').slice(0, 16)
}
