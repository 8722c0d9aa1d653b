import { randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { eventually } from '../../harness/eventually.js'
import { Deployments } from './deployments.js'
import { History } from './history.js'
import { checkExecutions, checkNode, checkVersions, leftWrites, settle } from './invariants.js'
import { Load } from './load.js'
import { carryOut, planRound } from './plan.js'
import { Random } from './random.js'
import { report } from './report.js'
import { openSite, type Site, type StoreKind } from './site.js'

const ROUND_MS = 8_000
const ENDED_SECONDS = 45
const ROUNDS_OF_A_LIFE = 4
/** What a round takes once its faults are over. */
const ROUND_END_MS = 10_000

export interface Outcome {
  readonly executions: number
  readonly faults: number
  readonly rounds: number
  readonly answers: string
  /** One for each life in which anything was wrong. */
  readonly reports: readonly string[]
}

/** Lives of an agent, one after the other, each with a seed that follows from the first, until the time is up. */
export async function campaign(store: StoreKind, seed: number, seconds: number): Promise<Outcome> {
  const end = performance.now() + seconds * 1000
  const reports: string[] = []
  const total = { executions: 0, faults: 0, rounds: 0 }
  let answers = ''
  for (let life = 0; life === 0 || performance.now() + ROUND_MS + ROUND_END_MS < end; life++) {
    const history = new History()
    total.rounds += await live(store, seed + life, end, history)
    total.executions += history.tracks.size
    total.faults += history.faults.length
    answers = history.answers()
    if (history.violations.length > 0) reports.push(report(history, seed + life, store))
  }
  return { ...total, answers, reports }
}

/** One agent from its first start to its last stop; answers how many rounds it went through. */
async function live(store: StoreKind, seed: number, end: number, history: History): Promise<number> {
  const random = new Random(seed)
  const site = await openSite(store, random.split(), history)
  let round = 0
  try {
    await site.agent.serves()
    const deployments = new Deployments(site, history)
    // Of its own also where two campaigns run at once: processes are found by it.
    const prefix = `chaos-${randomBytes(4).toString('hex')}`
    const load = new Load(site, history, random.split(), prefix, deployments)
    const plans = random.split()
    const ends = random.split()
    await deployments.restore(ends)
    for (; round === 0 || (round < ROUNDS_OF_A_LIFE && performance.now() + ROUND_MS + ROUND_END_MS < end); round++) {
      const plan = planRound(plans, site, ROUND_MS)
      history.note(`round ${round}: ${plan.map(({ name }) => name).join(', ')}`)
      await Promise.all([load.run(ROUND_MS), carryOut(plan, site, history)])
      await endRound(site, history, load, deployments, ends)
    }
  } catch (error) {
    history.violate('the campaign could not go on', String((error as Error).stack))
  }
  await site.agent.close()
  const left = leftWrites(site)
  if (left.length > 0) history.violate('writes that are left after a stop', left.join(' '))
  await site.close()
  return round
}

async function endRound(site: Site, history: History, load: Load, deployments: Deployments, random: Random) {
  const restarts = random.chance(0.5)
  await site.agent.serves()
  // As long as the store was away, it takes a moment to be found again.
  await sleep(1_500)
  await settle(site, history, load)
  if (restarts) {
    const { pid } = site.agent
    site.agent.end('SIGTERM', 0)
    await eventually('it has ended', () => site.agent.pid !== pid, ENDED_SECONDS)
    await site.agent.serves()
  }
  const forgot = history.faults.some(({ name }) => name === 'Redis forgets')
  if (!forgot) await checkVersions(site, history)
  const failed = await deployments.restore(random)
  if (failed.length > 0) history.violate('a deploy that fails though all is well', failed.join(' '))
  else await checkVersions(site, history)
  await checkExecutions(site, history, load)
  await checkNode(site, history)
}
