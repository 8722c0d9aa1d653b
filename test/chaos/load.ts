import { setTimeout as sleep } from 'node:timers/promises'
import { type ServiceError, status } from '@grpc/grpc-js'
import type { AnsweredRecord } from '../../harness/calls.js'
import { processesWith } from '../../harness/proc.js'
import { answer } from '../../src/cli/connection.js'
import { follow } from '../support/follow.js'
import { callSync } from '../support/live-calls.js'
import type { Deployments } from './deployments.js'
import { anyFunction, SHAPES } from './functions.js'
import type { History, Track } from './history.js'
import { checkShown, outputProblem } from './output.js'
import type { Random } from './random.js'
import type { Site } from './site.js'

const LANES = 10
const POLLERS = 3
const CALL_SECONDS = 8
/** Of the ids that are asked for and sent again. */
const RECENT = 60

/** Callers of every kind, all at once, until told to stop. */
export class Load {
  #stopped = false
  #count = 0
  readonly #under = new Set<Promise<unknown>>()
  readonly #ids: string[] = []

  constructor(
    private readonly site: Site,
    private readonly history: History,
    private readonly random: Random,
    private readonly prefix: string,
    private readonly deployments: Deployments,
  ) {}

  /** Resolves when every call that was begun has had its answer. */
  async run(ms: number): Promise<void> {
    this.#stopped = false
    const lanes = [
      ...Array.from({ length: LANES }, () => this.#repeat(() => this.#executeOne())),
      ...Array.from({ length: POLLERS }, () => this.#repeat(() => this.#lookAtOne())),
      this.#repeat(() => this.#sendAgain()),
      this.#repeat(() => this.#changeFunctions()),
    ]
    await sleep(ms)
    this.#stopped = true
    await Promise.all(lanes)
    await Promise.all(this.#under)
  }

  async #repeat(act: () => Promise<void>): Promise<void> {
    while (!this.#stopped) {
      // Some come while it is away, but not all.
      if (this.site.agent.serving || this.random.chance(0.05)) await act()
      await sleep(this.random.between(5, 60))
    }
  }

  async #executeOne(): Promise<void> {
    const { random, history } = this
    const id = `${this.prefix}-${this.#count++}`
    const track = history.track(id, random.weighted(SHAPES), anyFunction(random), random.chance(0.7))
    this.#ids.push(id)
    // What is drawn must not depend on how fast answers come.
    const again = random.chance(0.15) ? random.between(0, 300) : undefined
    const cancel = track.shape.long || random.chance(0.12) ? random.between(0, 2_500) : undefined
    const followed = random.chance(0.2)
    const run = track.async ? this.#startAsync(track) : this.#runSync(track, random.chance(0.1))
    if (again !== undefined) this.#later(again, () => this.#startAsync(track))
    if (cancel !== undefined) this.#later(cancel, () => this.#cancel(track))
    if (followed) this.#later(5, () => this.#follow(track))
    await run
  }

  async #startAsync(track: Track): Promise<void> {
    const sent = this.#request(track)
    await this.#call(track, 'async start', async () => {
      const { error } = await this.site.agent.calls.execute({ ...sent, async: true }, CALL_SECONDS)
      if (error === '') track.accepted++
      return error || 'accepted'
    })
  }

  async #runSync(track: Track, hangsUp: boolean): Promise<void> {
    track.sentSync = true
    const { outcome, hangUp } = callSync(this.site.agent.client, this.#request(track), CALL_SECONDS)
    // Whose deadline passes has hung up as well.
    if (track.shape.long || hangsUp) track.cancelSentAt ??= performance.now()
    if (hangsUp) this.#later(this.random.between(0, 500), async () => hangUp())
    await this.#call(track, 'sync call', async () => {
      const end = await outcome
      if (end instanceof Error) {
        track.cancelSentAt ??= performance.now()
        throw end
      }
      if (/^execution ID already exists$|at capacity$|^function /.test(end.error)) return end.error
      track.ran++
      const succeeded = end.error === ''
      const problem = outputProblem(this.history, track, end.output.toString(), succeeded)
      if (problem) this.history.violate('wrong output of a sync call', problem, track.id)
      return end.error || 'ran'
    })
  }

  async #cancel(track: Track): Promise<void> {
    track.cancelSentAt ??= performance.now()
    await this.#call(track, 'cancel', async () => {
      const { success, message } = await this.site.agent.calls.cancel(track.id)
      if (success) {
        const left = processesWith('FLUX_EXECUTION_ID', track.id).filter(({ state }) => !/[ZX]/.test(state))
        for (const { pid, command } of left)
          this.history.violate('alive after its cancel', `process ${pid} ${command}`, track.id)
      }
      return message
    })
  }

  async #follow(track: Track): Promise<void> {
    await this.#call(track, 'follow', async () => {
      const following = follow(this.site.agent.operations, track.id)
      const limit = setTimeout(() => following.stream.cancel(), CALL_SECONDS * 1000)
      const { output, record } = await following.whole.finally(() => clearTimeout(limit))
      if (record) checkShown(this.history, track, { ...record, output: output.toString() }, performance.now())
      return record ? `an end, ${record.status}` : 'no record'
    })
  }

  async #lookAtOne(): Promise<void> {
    const id = this.random.pick(this.#ids.slice(-RECENT))
    const track = this.history.tracks.get(id ?? '')
    if (track) await this.look(track)
  }

  /** What GetExecution answers; undefined where it has no record, or does not answer. */
  async look(track: Track): Promise<AnsweredRecord | undefined> {
    let record: AnsweredRecord | undefined
    await this.#call(track, 'get', async () => {
      const askedAt = performance.now()
      const { found, data } = await this.site.agent.calls.get(track.id)
      if (!found) return 'not found'
      record = JSON.parse(data.toString()) as AnsweredRecord
      checkShown(this.history, track, record, askedAt)
      return record.refused ? 'refused' : record.status
    })
    return record
  }

  async #sendAgain(): Promise<void> {
    const recent = this.random.chance(0.5) ? this.#ids.slice(-RECENT) : this.#ids
    const track = this.history.tracks.get(this.random.pick(recent) ?? '')
    const async = this.random.chance(0.6)
    if (track) await (async ? this.#startAsync(track) : this.#runSync(track, false))
    await sleep(this.random.between(20, 200))
  }

  async #changeFunctions(): Promise<void> {
    const { random } = this
    const name = anyFunction(random)
    const kind = random.next()
    if (kind < 0.2) await this.deployments.register(name, random)
    else if (kind < 0.5) {
      await Promise.all([this.deployments.deploy(name, random), this.deployments.deploy(name, random)])
    } else await this.deployments.deploy(name, random)
    await this.#call(undefined, 'status', async () => {
      await this.site.agent.calls.status()
      await answer((options, done) => this.site.agent.operations.listExecutions({}, options, done), CALL_SECONDS)
      return 'answered'
    })
    await sleep(random.between(100, 1_000))
  }

  #request({ functionName, shape, id }: Track) {
    return { function_name: functionName, args: [shape.name, id, this.site.journal], execution_id: id }
  }

  #later(ms: number, act: () => Promise<void>): void {
    const done: Promise<void> = sleep(ms)
      .then(act)
      .finally(() => this.#under.delete(done))
    this.#under.add(done)
  }

  /** Makes a call and keeps what came of it. A defect of the agent is a status that says so. */
  async #call(track: Track | undefined, what: string, make: () => Promise<string>): Promise<void> {
    const { history } = this
    const sentAt = performance.now()
    if (track) history.tell(track, `${what} …`)
    let came: string
    try {
      came = await make()
    } catch (error) {
      const { code, details, message } = error as ServiceError
      if (code === undefined) history.violate('a call that was answered wrongly', `${what}: ${message}`, track?.id)
      came = `${status[code]}: ${details}`
      if ((code === status.INTERNAL && !/RST_STREAM/.test(details)) || code === status.UNKNOWN)
        history.violate('a call that met a defect', `${what}: ${came}`, track?.id)
      // Behind three that take their time it waits for a slot.
      const mayWait = track?.shape.long || track?.functionName === 'queued'
      if (code === status.DEADLINE_EXCEEDED && !mayWait && !history.touchedByAny(sentAt - 2_000, Infinity))
        history.violate('a call without an answer', what, track?.id)
    }
    history.answered(`${what}: ${came}`)
    if (track) history.tell(track, `${what}: ${came}`)
  }
}
