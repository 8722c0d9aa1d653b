import type { Metadata } from '@grpc/grpc-js'
import type { TraceContext } from '../../threads/span-ids.js'

const PARENT = /^([\da-f]{2})-([\da-f]{32})-([\da-f]{16})-([\da-f]{2})(-.*)?$/
const SAMPLED = 0b01
/** The flags that the standard names: sampled, random-trace-id. */
const KNOWN_FLAGS = 0b11
const MAX_MEMBERS = 32
/** key, or tenant@system, and a value of printable ASCII without comma and equals sign, which ends in no space. */
const MEMBER =
  /^(?:[a-z\d][\w\-*/]{0,255}|[a-z\d][\w\-*/]{0,240}@[a-z][\w\-*/]{0,13})=[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e]$/

/** The context in a call's metadata. What breaks the standard's grammar counts as absent, as the standard wants it. */
export function readTraceContext(metadata: Metadata): TraceContext | undefined {
  const [parent, another] = metadata.get('traceparent')
  if (typeof parent !== 'string' || another !== undefined) return undefined
  const [, version, traceId = '', spanId = '', flags = '', more] = PARENT.exec(parent.trim()) ?? []
  // A later version may have more parts; 255 is forbidden.
  if (version === undefined || version === 'ff' || (version === '00' && more !== undefined)) return undefined
  if (/^0*$/.test(traceId) || /^0*$/.test(spanId)) return undefined
  const state = readState(metadata.get('tracestate'))
  const known = (Number.parseInt(flags, 16) & KNOWN_FLAGS).toString(16).padStart(2, '0')
  return { traceId, spanId, flags: known, ...(state && { state }) }
}

/** Several headers are one list. */
function readState(headers: readonly (string | Buffer)[]): string | undefined {
  const members = headers
    .join(',')
    .split(',')
    .map((member) => member.trim())
    .filter((member) => member !== '')
  const keys = new Set(members.map((member) => member.slice(0, member.indexOf('='))))
  const isValid =
    members.length <= MAX_MEMBERS && keys.size === members.length && members.every((member) => MEMBER.test(member))
  return isValid && members.length > 0 ? members.join(',') : undefined
}

/** Whether the caller records its spans. */
export function isSampled({ flags }: TraceContext): boolean {
  return (Number.parseInt(flags, 16) & SAMPLED) !== 0
}

/** The variables by which a process finds its trace (OpenTelemetry, "Environment Variables as Context Propagation"). */
export function traceVariables({ traceId, spanId, flags, state }: TraceContext): Record<string, string> {
  return { TRACEPARENT: `00-${traceId}-${spanId}-${flags}`, ...(state !== undefined && { TRACESTATE: state }) }
}
