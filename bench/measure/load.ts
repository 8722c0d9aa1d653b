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

/** Calls of one method to one target, made by a process of its own over one connection. */
export interface Load {
  readonly target: Target
  /** Full path, as in `/flux.AgentService/HealthCheck`. */
  readonly path: string
  /** The request, serialized. */
  readonly request: Buffer
  /**
   * Where in the request a number of 16 digits is, another one for each call, counted from `first`: a part of the
   * execution id.
   */
  readonly number?: { readonly at: number; readonly first: number }
  /** Of an ExecutionResponse that is right, bytes; where absent any answer with status 0 is. */
  readonly outputBytes?: number
  /**
   * Calls an execution that is refused at capacity again, a millisecond later, until it is taken; its latency counts from
   * the first call. Needs `outputBytes`.
   */
  readonly repeatRefused?: true
  readonly pace: Pace
}

export type Pace =
  /**
   * So many lanes, each of which calls again when it has been answered, until the time is over or each lane has made so
   * many calls. Waiting shows in the rate, hardly in the percentiles.
   */
  | { readonly kind: 'closed'; readonly inFlight: number; readonly durationMs: number }
  | { readonly kind: 'counted'; readonly inFlight: number; readonly callsEach: number }
  /** At fixed times, answered or not; latencies count from these times, so that nothing is left out while it hangs. */
  | { readonly kind: 'every'; readonly intervalMs: number }

export interface LoadResult {
  readonly calls: number
  readonly seconds: number
  /** Microseconds. */
  readonly latencies: Histogram
  /** Of the process that calls, milliseconds for each call. */
  readonly clientCpuMs: number
}

export interface RunningLoad {
  /** Rejects where a call failed or was answered otherwise than it should. */
  readonly result: Promise<LoadResult>
  /** No further calls; those under way are waited for, 60 s at the most. */
  stop(): Promise<LoadResult>
}

/** Connects, and begins when the server has answered that. */
export function runLoad(load: Load): RunningLoad {
  const client = spawn(loadProgram(), [
    ...targetArguments(load.target),
    ...callArguments(load),
    ...paceArguments(load.pace),
  ])
  // Where it has ended early, its result says why.
  client.stdin.on('error', () => {})
  const length = Buffer.alloc(4)
  length.writeUInt32BE(load.request.length)
  client.stdin.write(Buffer.concat([length, load.request]))
  const result = resultOf(client, load.target)
  // Nobody may be waiting for it yet.
  result.catch(() => {})
  return {
    result,
    stop: () => {
      client.stdin.end()
      return result
    },
  }
}

/** Path of the program that calls, compiled where it was not. */
export function loadProgram(): string {
  return nativeProgram('load', LIBRARIES)
}

function targetArguments({ host, port, tls }: Target): string[] {
  const address = ['--host', host, '--port', String(port)]
  if (tls === undefined) return address
  return [...address, '--ca', tls.ca, '--cert', tls.cert, '--key', tls.key, '--server-name', TLS_SERVER_NAME]
}

function callArguments({ path, number, outputBytes, repeatRefused }: Load): string[] {
  return [
    ...['--path', path],
    ...(number ? ['--number-at', String(number.at), '--first-number', String(number.first)] : []),
    ...(outputBytes === undefined ? [] : ['--output-bytes', String(outputBytes)]),
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
