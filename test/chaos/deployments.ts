import { type ServiceError, status } from '@grpc/grpc-js'
import { codeOf, FUNCTIONS, type FunctionName } from './functions.js'
import type { DeployAttempt, History } from './history.js'
import type { Random } from './random.js'
import type { Site } from './site.js'

/** What the control plane deploys and registers, and what came of it. */
export class Deployments {
  #versions = 0

  constructor(
    private readonly site: Site,
    private readonly history: History,
  ) {}

  async deploy(name: FunctionName, random: Random): Promise<boolean> {
    const version = `v${++this.#versions}`
    const { archive, handler } = codeOf(version)
    const attempt: DeployAttempt = {
      functionName: name,
      version,
      beganAt: performance.now(),
      endedAt: Infinity,
      outcome: 'unknown',
    }
    this.history.deploys.push(attempt)
    this.history.note(`deploy ${name} ${version} …`)
    const said = await this.#said(async () => {
      const { success, message } = await this.site.agent.calls.deploy(
        name,
        archive,
        this.#config(name, handler, random),
      )
      attempt.outcome = success ? 'acked' : 'refused'
      attempt.endedAt = performance.now()
      return message
    })
    this.history.note(`deploy ${name} ${version}: ${attempt.outcome}, ${said}`)
    this.history.answered(`deploy: ${said}`)
    return attempt.outcome === 'acked'
  }

  /** The same handler with another timeout: what serves stays what it was. */
  async register(name: FunctionName, random: Random): Promise<void> {
    const [last, ...others] = this.history.deploys
      .filter(({ functionName }) => functionName === name)
      .slice(-4)
      .reverse()
    // Where it is not known which code serves, its handler is not either.
    if (last?.outcome !== 'acked' || others.some(({ endedAt }) => endedAt > last.beganAt)) return
    const config = this.#config(name, codeOf(last.version).handler, random)
    const said = await this.#said(async () => (await this.site.agent.calls.register(config)).message)
    this.history.answered(`register: ${said}`)
  }

  /** As the control plane does for an agent that was away: every function again. */
  async restore(random: Random): Promise<string[]> {
    const failed: string[] = []
    for (const { name } of FUNCTIONS) if (!(await this.deploy(name, random))) failed.push(name)
    return failed
  }

  #config(name: FunctionName, handler: string, random: Random) {
    const { max_concurrency, max_concurrency_behavior } = FUNCTIONS.find((each) => each.name === name) ?? FUNCTIONS[0]
    return { name, handler, max_concurrency, max_concurrency_behavior, timeout_seconds: random.pick([0, 60, 90]) }
  }

  async #said(call: () => Promise<string>): Promise<string> {
    try {
      return await call()
    } catch (error) {
      const { code, details, message } = error as ServiceError
      return code === undefined ? message : `${status[code]}: ${details}`
    }
  }
}
