import { execFileSync } from 'node:child_process'
import { chmodSync, mkdirSync, statfsSync } from 'node:fs'
import { join } from 'node:path'
import { makeTempDir } from '../../harness/agent.js'
import { removeCgroupsAtExit } from '../../harness/cgroup-leftovers.js'
import { removeFirewallAtExit } from '../../harness/firewall-leftovers.js'
import { freePort } from '../../harness/free-port.js'
import { onExit } from '../../harness/on-exit.js'
import { RedisServer } from '../../harness/redis.js'
import { createUser, noUsers, type SystemUser } from '../support/system-user.js'
import { AgentProcess } from './agent-process.js'
import type { History } from './history.js'
import type { Random } from './random.js'
import { SpoiltNetwork } from './spoilt-network.js'

export type StoreKind = 'redis' | 'embedded'

const AGENT_ID = 'chaos'
const DISK = '2g'

/** An agent and all it depends on: a store, a network before that, a disk, a user for its functions. */
export interface Site {
  readonly store: StoreKind
  readonly agent: AgentProcess
  readonly redis: RedisServer | undefined
  readonly network: SpoiltNetwork | undefined
  readonly disk: Disk | undefined
  /** Where functions leave word that they ran. */
  readonly journal: string
  readonly stateDir: string
  readonly appsDir: string
  close(): Promise<void>
}

/** The state folder's own file system, which can be full. */
export class Disk {
  constructor(private readonly dir: string) {
    mkdirSync(dir)
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${DISK},mode=700`, 'tmpfs', dir])
    onExit(() => this.remove())
  }

  fill(leftBytes: number): void {
    for (let left = leftBytes, tries = 0; ; left += 262_144, tries++) {
      const { bsize, blocks, bfree } = statfsSync(this.dir)
      try {
        this.#resize(String((blocks - bfree) * bsize + left))
        return
      } catch (error) {
        // The agent has written more meanwhile.
        if (tries === 5) throw error
      }
    }
  }

  free(): void {
    this.#resize(DISK)
  }

  remove(): void {
    try {
      execFileSync('umount', ['--lazy', this.dir], { stdio: 'ignore' })
    } catch {
      // It is not mounted any more.
    }
  }

  #resize(size: string): void {
    execFileSync('mount', ['-o', `remount,size=${size}`, this.dir], { stdio: 'pipe' })
  }
}

/** Everything fresh, and the agent started. */
export async function openSite(store: StoreKind, random: Random, history: History): Promise<Site> {
  const dir = makeTempDir('flux-chaos-')
  // Functions that are separate have another /tmp.
  const journal = makeTempDir('flux-chaos-', '/srv')
  for (const folder of [dir, journal]) chmodSync(folder, folder === journal ? 0o777 : 0o755)
  const stateDir = join(dir, 'state')
  const user: SystemUser | undefined = noUsers ? undefined : createUser()
  const disk = user && new Disk(stateDir)
  // Whatever Redis has answered is in its file: that it is killed loses nothing.
  const redis =
    store === 'redis' ? await RedisServer.start('--appendonly', 'yes', '--appendfsync', 'always') : undefined
  const network = redis && (await SpoiltNetwork.start(redis.port))
  const agent = new AgentProcess(history, dir, await freePort(), {
    agent_id: AGENT_ID,
    host: '127.0.0.1',
    redis_addr: network ? `redis://127.0.0.1:${network.port}` : 'embedded',
    run_as: user?.name ?? 'self',
    state_dir: stateDir,
    workers: random.pick([1, 2, 3]),
    drain_seconds: random.pick([0, 1, 3]),
    store_backlog_bytes: random.pick(['8MiB', '256MiB']),
    max_tasks: random.pick([0, 12]),
    functions: { isolation: random.pick(['separate', 'separate', 'shared']) },
  })
  const appsDir = user ? join(user.home, 'apps') : join(stateDir, 'apps')
  const close = async () => {
    await agent.close()
    await network?.close()
    await redis?.stop()
    disk?.remove()
    user?.remove()
  }
  agent.start()
  if (user) removeFirewallAtExit(stateDir)
  removeCgroupsAtExit(stateDir)
  return { store, agent, redis, network, disk, journal, stateDir, appsDir, close }
}
