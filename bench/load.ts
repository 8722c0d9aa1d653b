import type { Histogram } from 'hdr-histogram-js'
import type { Target } from './target.js'

/** Calls of one method to one target, made by a process of its own over one connection. */
export interface Load {
  readonly target: Target
  /** Full path, as in `/flux.AgentService/HealthCheck`. */
  readonly path: string
  /** The request, serialized. */
  readonly request: Buffer
  /**
   * Where in the request a number of 16 digits is, another one for each call, counted from `firstNumber`: a part of the
   * execution id.
   */
  readonly number?: { readonly at: number; readonly first: number }
  /** Of an ExecutionResponse that is right, bytes; where absent any answer with status 0 is. */
  readonly outputBytes?: number
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
  /** No further calls; those under way are waited for. */
  stop(): Promise<LoadResult>
}
