import { hostname } from 'node:os'
import type { ExecutionRecord } from '../../store/record.js'
import { VERSION } from '../../version.js'
import type { ExecutionTrace } from './execution-trace.js'

/** The enums of opentelemetry-proto, trace.proto. */
const INTERNAL = 1
const SERVER = 2
const OK = 1
const ERROR = 2

type Value = { readonly stringValue: string } | { readonly boolValue: boolean }

interface Attribute {
  readonly key: string
  readonly value: Value
}

/** Writes an ExportTraceServiceRequest in OTLP's JSON: ids in hexadecimal, 64-bit numbers as text. */
export function encodeTraces(traces: readonly ExecutionTrace[], agentId: string): string {
  const resource = {
    'service.name': 'flux-agent',
    'service.version': VERSION,
    'service.instance.id': agentId,
    'host.name': hostname(),
  }
  const scope = { name: 'flux-agent', version: VERSION }
  return JSON.stringify({
    resourceSpans: [
      { resource: { attributes: attributes(resource) }, scopeSpans: [{ scope, spans: traces.flatMap(spansOf) }] },
    ],
  })
}

/** The execution's span, and one for each part that it went through. */
function spansOf({ traceId, spanId, runId, parent, async, begun, moments, record }: ExecutionTrace): object[] {
  if (!record) return []
  const offset = Date.now() - performance.now()
  const nanoseconds = (at: number) => `${Math.round((offset + at) * 1000)}000`
  const { slot, started, ended = begun, settled = ended } = moments
  const end = async ? settled : ended
  const span = (name: string, id: string, from: number, to: number) => ({
    traceId,
    spanId: id,
    name,
    startTimeUnixNano: nanoseconds(from),
    endTimeUnixNano: nanoseconds(to),
  })
  const part = (name: string, id: string, from: number | undefined, to: number | undefined) =>
    from === undefined || to === undefined
      ? []
      : [{ ...span(name, id, from, to), parentSpanId: spanId, kind: INTERNAL }]
  return [
    {
      ...span(`execute ${record.function_name}`, spanId, begun, end),
      ...(parent && { parentSpanId: parent.spanId, traceState: parent.state ?? '' }),
      kind: SERVER,
      attributes: attributes(describe(record, async)),
      status: record.status === 'success' ? { code: OK } : { code: ERROR, message: record.error ?? record.status },
    },
    ...part('queue', idOf(spanId, 1), begun, slot ?? ended),
    ...part('start', idOf(spanId, 2), slot, started ?? ended),
    ...part('run', runId, started, ended),
    ...(async ? part('store', idOf(spanId, 3), ended, settled) : []),
  ]
}

/** Ids of parts follow from the execution's: none has to be drawn. */
function idOf(spanId: string, part: number): string {
  return spanId.slice(0, 14) + ((Number.parseInt(spanId.slice(14), 16) + part) % 256).toString(16).padStart(2, '0')
}

function describe({ execution_id, function_name, status }: ExecutionRecord, async: boolean) {
  return { 'faas.name': function_name, 'faas.invocation_id': execution_id, 'flux.status': status, 'flux.async': async }
}

function attributes(values: Readonly<Record<string, string | boolean>>): Attribute[] {
  return Object.entries(values).map(([key, value]) => ({
    key,
    value: typeof value === 'string' ? { stringValue: value } : { boolValue: value },
  }))
}
