import { hostname } from 'node:os'
import { monotonicMs } from '../../time/monotonic.js'
import { VERSION } from '../../version.js'
import type { ExecutionTrace, TracedExecution, TracedRecord } from './execution-trace.js'

/** The enums of opentelemetry-proto, trace.proto. */
const INTERNAL = 1
const SERVER = 2
const OK = 1
const ERROR = 2

/** Writes an ExportTraceServiceRequest in OTLP's JSON: ids in hexadecimal, 64-bit numbers as text. */
export function encodeTraces(traces: readonly TracedExecution[], agentId: string): string {
  const resource = attributes({
    'service.name': 'flux-agent',
    'service.version': VERSION,
    'service.instance.id': agentId,
    'host.name': hostname(),
  })
  const scope = JSON.stringify({ name: 'flux-agent', version: VERSION })
  const offset = Date.now() - monotonicMs()
  const spans = traces.flatMap((trace) => spansOf(trace, offset)).join()
  return `{"resourceSpans":[{"resource":{"attributes":${resource}},"scopeSpans":[{"scope":${scope},"spans":[${spans}]}]}]}`
}

/**
 * The execution's span, and one for each part that it went through. Written as text: the main thread has better things to
 * do than JSON.stringify, which takes several times as long for many small objects.
 */
function spansOf({ trace, record, times, refused }: TracedExecution, offset: number): string[] {
  const { ids, async, adopted } = trace
  const { traceId, spanId, runId, parent } = ids
  const { begun, slot, started, ended = begun, settled = ended } = times
  const span = (id: string, from: number, to: number) =>
    `{"traceId":"${traceId}","spanId":"${id}","startTimeUnixNano":"${nanoseconds(offset + from)}","endTimeUnixNano":"${nanoseconds(offset + to)}"`
  const part = (name: string, id: string, from: number | undefined, to: number | undefined) =>
    from === undefined || to === undefined
      ? []
      : [`${span(id, from, to)},"parentSpanId":"${spanId}","name":"${name}","kind":${INTERNAL}}`]
  const caller = parent ? `,"parentSpanId":"${parent.spanId}","traceState":${JSON.stringify(parent.state ?? '')}` : ''
  const name = JSON.stringify(`execute ${record.function_name}`)
  const status = record.status === 'success' ? { code: OK } : { code: ERROR, message: record.error ?? record.status }
  const details = `"name":${name},"kind":${SERVER},"attributes":${attributes(describe(record, trace, refused))},"status":${JSON.stringify(status)}`
  const root = `${span(spanId, begun, async ? settled : ended)}${caller},${details}}`
  if (refused) return [root]
  const begin = [
    ...part('queue', idOf(spanId, 1), begun, slot ?? ended),
    ...part('start', idOf(spanId, 2), slot, started ?? ended),
  ]
  return [
    root,
    ...(adopted ? [] : begin),
    ...part('run', runId, adopted ? begun : started, ended),
    ...(async ? part('store', idOf(spanId, 3), ended, settled) : []),
  ]
}

/** From milliseconds, with the precision of a double: microseconds. */
function nanoseconds(ms: number): string {
  return `${Math.round(ms * 1000)}000`
}

/** Ids of parts follow from the execution's: none has to be drawn. */
function idOf(spanId: string, part: number): string {
  return spanId.slice(0, 14) + ((Number.parseInt(spanId.slice(14), 16) + part) % 256).toString(16).padStart(2, '0')
}

function describe(
  { execution_id, function_name, status }: TracedRecord,
  { async, adopted }: ExecutionTrace,
  refused: string | undefined,
) {
  return {
    'faas.name': function_name,
    ...(execution_id !== '' && { 'faas.invocation_id': execution_id }),
    'flux.status': status,
    'flux.async': async,
    ...(adopted && { 'flux.adopted': true }),
    ...(refused !== undefined && { 'flux.refused': refused }),
  }
}

function attributes(values: Readonly<Record<string, string | boolean>>): string {
  const written = Object.entries(values).map(
    ([key, value]) =>
      `{"key":"${key}","value":{"${typeof value === 'string' ? 'stringValue' : 'boolValue'}":${JSON.stringify(value)}}}`,
  )
  return `[${written.join()}]`
}
