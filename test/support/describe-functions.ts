import { randomInt } from 'node:crypto'
import { chmodSync, existsSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe } from 'node:test'
import { makeTempDir } from '../../harness/agent.js'
import { Calls } from '../../harness/calls.js'
import { noLauncher, notSeparate } from '../../harness/launchers.js'
import { SuiteAgent } from './describe-agent.js'
import { noProbe } from './probe.js'
import { createUser, noUsers, type SystemUser } from './system-user.js'

/** A Node that functions can see: the one that runs this may lie in /tmp. */
export const NODE = ['/usr/bin/node', '/usr/local/bin/node'].find((path) => existsSync(path)) ?? process.execPath

export interface FunctionsSuite {
  readonly agent: SuiteAgent
  readonly calls: Calls
  /** The agent's folder. */
  readonly state: () => string
  readonly user: () => SystemUser
  /** Whether functions are kept apart. */
  readonly separate: boolean
  /** A function's home, as the host has it. */
  readonly homeOf: (name: string) => string
}

export interface FunctionsOptions {
  /** Keys of `functions` in agent.yaml. */
  readonly functions?: Readonly<Record<string, unknown>>
  /** Further keys of agent.yaml, which may be known late. */
  readonly config?: Readonly<Record<string, unknown>> | (() => Readonly<Record<string, unknown>>)
}

/** A suite with an agent that keeps functions apart, as it would on a node: as root, with a user made for functions. */
export function describeSeparate(
  name: string,
  options: FunctionsOptions,
  cases: (suite: FunctionsSuite) => void,
): void {
  const skip = noUsers ?? noLauncher ?? noProbe ?? notSeparate
  describe(name, { skip }, () => withAgent('separate', options, cases))
}

/** The same cases once more, as a control, with an agent whose functions share one user. */
export function describeBoth(name: string, options: FunctionsOptions, cases: (suite: FunctionsSuite) => void): void {
  describeSeparate(name, options, cases)
  describe(`${name}, where all share one user`, { skip: noUsers ?? noLauncher ?? noProbe }, () =>
    withAgent('shared', options, cases),
  )
}

function withAgent(
  isolation: 'separate' | 'shared',
  { functions, config }: FunctionsOptions,
  cases: (suite: FunctionsSuite) => void,
): void {
  let user: SystemUser
  let dir: string
  const state = () => join(dir, 'state')
  const uids = someUids()
  const separate = isolation === 'separate'
  const agent = new SuiteAgent(() => ({
    dir,
    config: {
      run_as: user.name,
      drain_seconds: 0,
      ...(typeof config === 'function' ? config() : config),
      functions: { isolation, uids, ...functions },
    },
  }))
  before(async () => {
    user = createUser()
    // Where the agent's folder is on a node, and not in a folder that each function has one of its own of.
    dir = makeTempDir('flux-test-', '/var/lib')
    chmodSync(dir, 0o755)
    await agent.start()
  })
  const homeOf = (name: string) => (separate ? join(state(), 'functions', 'homes', name) : user.home)
  cases({ agent, calls: new Calls(() => agent.client), state, user: () => user, separate, homeOf })
  after(async () => {
    await agent.stop()
    user.remove()
  })
}

/** No two agents that run at once may have the same. */
function someUids(): string {
  const first = 2_000_000_000 + 100 * randomInt(1_000_000)
  return `${first}-${first + 99}`
}
