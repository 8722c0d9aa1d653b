import type { Histogram } from 'hdr-histogram-js'
import { histogram, microseconds } from '../measure/statistics.js'
import type { CancelServer, Victim } from './cancel-server.js'
import { FLOOD, PLAIN, type Shape } from './shapes.js'

const ROUNDS = 5

/** What is cancelled, and the load meanwhile. */
export interface Scene {
  readonly name: string
  readonly shape: Shape
  /** Cancels in each round. */
  readonly samples: number
  /** Executions that run meanwhile: plain ones, and ones that flood their output. */
  readonly others: { readonly plain: number; readonly flooding: number }
}

/** Results of one server in one round, or in all; microseconds. */
export interface Latencies {
  readonly dead: Histogram
  readonly answered: Histogram
  readonly recorded: Histogram
  readonly looks: Histogram
  readonly pings: Histogram
  survivors: number
  /** Answers that came before the last process had died. */
  early: number
}

/** Cancels one at a time, taking turns among the servers. Answers each server's rounds. */
export async function measureScene(servers: readonly CancelServer[], scene: Scene): Promise<Latencies[][]> {
  const measured = servers.map((): Latencies[] => [])
  for (let round = 0; round < ROUNDS; round++) {
    for (const [i, server] of servers.entries()) measured[i]?.push(await measureRound(server, scene))
  }
  return measured
}

export function together(rounds: readonly Latencies[]): Latencies {
  const all = noLatencies()
  for (const round of rounds) {
    for (const which of ['dead', 'answered', 'recorded', 'looks', 'pings'] as const) all[which].add(round[which])
    all.survivors += round.survivors
    all.early += round.early
  }
  return all
}

async function measureRound(server: CancelServer, { shape, samples, others }: Scene): Promise<Latencies> {
  const latencies = noLatencies()
  const running: Victim[] = []
  for (let i = 0; i < others.plain; i++) running.push(await server.run(PLAIN))
  for (let i = 0; i < others.flooding; i++) running.push(await server.run(FLOOD))
  for (let i = 0; i < samples; i++) {
    const victim = await server.run(shape)
    latencies.pings.recordValue(microseconds(await server.ping()))
    const { dead, answered, recorded, look, survivors } = await server.cancelAndLook(victim)
    if (survivors === 0) latencies.dead.recordValue(microseconds(dead))
    latencies.answered.recordValue(microseconds(answered))
    latencies.recorded.recordValue(microseconds(recorded))
    latencies.looks.recordValue(microseconds(look))
    latencies.survivors += survivors
    if (answered < dead) latencies.early++
  }
  const ends = await Promise.all(running.map((victim) => server.cancel(victim)))
  for (const { survivors } of ends) latencies.survivors += survivors
  return latencies
}

function noLatencies(): Latencies {
  const [dead, answered, recorded, looks, pings] = [histogram(), histogram(), histogram(), histogram(), histogram()]
  return { dead, answered, recorded, looks, pings, survivors: 0, early: 0 }
}
