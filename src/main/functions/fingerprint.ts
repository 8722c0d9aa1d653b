import { createHash } from 'node:crypto'
import type { FunctionSettings } from '../../store/function.js'

/** The same for the same settings, wherever they have been; 16 hexadecimal digits. */
export function fingerprintOf(settings: FunctionSettings): string {
  const sorted = (fields: object) => Object.entries(fields).sort(([a], [b]) => (a < b ? -1 : 1))
  const text = JSON.stringify(sorted({ ...settings, env: sorted(settings.env) }))
  return createHash('sha256').update(text).digest('hex').slice(0, 16)
}
