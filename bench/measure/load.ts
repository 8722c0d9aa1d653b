import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process'
import { once } from 'node:events'
import { text } from 'node:stream/consumers'
import type { Histogram } from 'hdr-histogram-js'
import { TLS_SERVER_NAME } from '../../src/proto.js'
import type { Target } from '../targets/target.js'
import { type Libraries, nativeProgram } from './native.js'
import { histogram } from './statistics.js'

const LIBRARIES: Libraries = {
  flags: ['-lnghttp2', '-lssl', '-lcrypto'],
  packages: ['libnghttp2-dev', 'libssl-dev'],
}

/** Calls of one method to one target, by a process of its own over one connection. */
export interface Load {
  readonly target: Target
  /** Full path, as in `/flux.AgentService/HealthCheck`. */
  readonly path: string
  /** The request, serialized. */
  readonly request: Buffer
  /** Offset in the request of a 16-digit number that counts calls from `first`: part of an execution's id, or a name. */
  readonly number?: { readonly at: number; readonly first: number }
  /** Expected length of a valid ExecutionResponse, bytes; absent: any answer with status 0 is valid. */
  readonly outputBytes?: number
  /** Whether each answer must be an acknowledgement that says success. */
  readonly acknowledged?: true
  /**
   * Repeats an execution that is refused at capacity after a millisecond, until it is accepted; its latency counts from
   * the first call. Needs `outputBytes`.
   */
  readonly repeatRefused?: true
  readonly pace: Pace
}

export type Pace =
  /**
   * A number of lanes, each calling again when answered, until the time is up or each has made enough calls. Delays
   * show in the rate, hardly in percentiles.
   */
  | { readonly kind: 'closed'; readonly inFlight: number; readonly durationMs: number }
  | { readonly kind: 'counted'; readonly inFlight: number; readonly callsEach: number }
  /** At fixed times, answered or not; latencies count from these times, so that a stall is not left out. */
  | { readonly kind: 'every'; readonly intervalMs: number }

export interface LoadResult {
  readonly calls: number
  readonly seconds: number
  /** Microseconds. */
  readonly latencies: Histogram
  /** Processor time of the calling process for each call, milliseconds. */
  readonly clientCpuMs: number
}

export interface RunningLoad {
  /** Rejects where a call failed or had an unexpected answer. */
  readonly result: Promise<LoadResult>
  /** Stops calling; waits up to 60 s for running calls. */
  stop(): Promise<LoadResult>
}

/** Connects, and begins once the server has answered. */
export function runLoad(load: Load): RunningLoad {
  const client = spawn(loadProgram(), [
    ...targetArguments(load.target),
    ...callArguments(load),
    ...paceArguments(load.pace),
  ])
  // After an early end the result says why.
  client.stdin.on('error', () => {})
  const length = Buffer.alloc(4)
  length.writeUInt32BE(load.request.length)
  client.stdin.write(Buffer.concat([length, load.request]))
  const result = resultOf(client, load.target)
  // It may not be awaited yet.
  result.catch(() => {})
  return {
    result,
    stop: () => {
      client.stdin.end()
      return result
    },
  }
}

/** Path of the client program, compiled if needed. */
export function loadProgram(): string {
  return nativeProgram('load', LIBRARIES)
}

function targetArguments({ host, port, tls }: Target): string[] {
  const address = ['--host', host, '--port', String(port)]
  if (tls === undefined) return address
  return [...address, '--ca', tls.ca, '--cert', tls.cert, '--key', tls.key, '--server-name', TLS_SERVER_NAME]
}

function callArguments({ path, number, outputBytes, acknowledged, repeatRefused }: Load): string[] {
  return [
    ...['--path', path],
    ...(number ? ['--number-at', String(number.at), '--first-number', String(number.first)] : []),
    ...(outputBytes === undefined ? [] : ['--output-bytes', String(outputBytes)]),
    ...(acknowledged ? ['--acknowledged'] : []),
    ...(repeatRefused ? ['--repeat-refused'] : []),
  ]
}

function paceArguments(pace: Pace): string[] {
  switch (pace.kind) {
    case 'closed':
      return ['--in-flight', String(pace.inFlight), '--duration-ms', String(pace.durationMs)]
    case 'counted':
      return ['--in-flight', String(pace.inFlight), '--calls', String(pace.inFlight * pace.callsEach)]
    case 'every':
      return ['--interval-us', String(Math.round(pace.intervalMs * 1000))]
  }
}

async function resultOf(client: ChildProcessWithoutNullStreams, target: Target): Promise<LoadResult> {
  const [printed, problem, [code, signal]] = await Promise.all([
    text(client.stdout),
    text(client.stderr),
    once(client, 'close'),
  ])
  if (code !== 0) throw new Error(`${target.label}: ${problem.trim() || `the load client ended by ${signal}`}`)
  const [first = [], ...counts] = printed
    .trim()
    .split('\n')
    .map((line) => line.split(' ').map(Number))
  const [calls = 0, nanoseconds = 0, cpuUs = 0] = first
  const latencies = histogram()
  for (const [us = 0, count = 0] of counts) latencies.recordValueWithCount(Math.max(1, us), count)
  return { calls, seconds: nanoseconds / 1e9, latencies, clientCpuMs: cpuUs / 1000 / calls }
}
