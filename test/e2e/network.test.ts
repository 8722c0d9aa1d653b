import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:net'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { CLI, makeTempDir, startTestAgent, type TestAgent } from '../../harness/agent.js'
import { Calls } from '../../harness/calls.js'
import { eventually } from '../../harness/eventually.js'
import { noLauncher } from '../../harness/launchers.js'
import { isRunning } from '../../harness/processes.js'
import { noRedis, RedisServer } from '../../harness/redis.js'
import { platform } from '../../src/os/index.js'
import { tableOf } from '../../src/os/linux/firewall/nftables.js'
import { METRICS_ON, metricsUrl } from '../support/metrics.js'
import { hasTable, nft, noFirewall, someUids } from '../support/reach.js'
import { createUser, noUsers, type SystemUser } from '../support/system-user.js'

const skip = noFirewall ?? noUsers ?? noRedis ?? noLauncher ?? platform.inspectIsolation().notSeparate
const UIDS = someUids()
/** Of networks for benchmarks: nobody has it, and packets to it get lost. */
const LOST = '198.18.7.7'

/** Hides it, and what lies beside it. */
const WITHOUT_NFT = [
  ...(['unshare', '--mount', 'sh', '-ec'] as const),
  'for dir in /usr/local/sbin /usr/local/bin /usr/sbin /sbin; do mount -t tmpfs none $dir; done; exec "$@"',
  'sh',
] as const

describe('the network of separate functions', { skip: skip ?? false }, () => {
  const dir = makeTempDir('flux-network-')
  const table = tableOf(join(dir, 'state'))
  const redis = new RedisServer()
  let user: SystemUser
  let agent: TestAgent
  let other: Server
  const calls = new Calls(() => agent.client)
  const keys = (...deny: string[]) => ({
    redis_addr: redis.address,
    run_as: user.name,
    functions: { uids: `${UIDS.first}-${UIDS.last}` },
    network: { node_public_ip: '192.0.2.1', deny },
    ...METRICS_ON,
  })
  const start = async (...deny: string[]) => {
    agent = await startTestAgent({ dir, config: keys(...deny) })
  }
  /** What bash says of a connection. */
  const tried = async (address: string, port: number): Promise<string> => {
    const { output } = await calls.execute({ function_name: 'connect', args: [address, String(port)] })
    return /refused/.exec(output.toString())?.[0] ?? output.toString()
  }

  before(async () => {
    user = createUser()
    other = createServer((connection) => connection.end()).listen(0, '127.0.0.1')
    await redis.restart()
    await start(LOST)
    await calls.script('connect', 'exec 2>&1; timeout 5 bash -c "echo >/dev/tcp/$1/$2" && echo open')
    await calls.script('wait', 'exec sleep 300')
  })
  after(async () => {
    await agent.stop()
    other.close()
    await redis.stop()
    user.remove()
  })

  it('has no agent, no store and nothing denied in it, and all else', async () => {
    assert.equal(await tried('127.0.0.1', agent.port), 'refused')
    assert.equal(await tried('127.0.0.1', redis.port), 'refused')
    assert.equal(await tried('127.0.0.1', Number(new URL(metricsUrl(agent)).port)), 'refused')
    assert.equal(await tried(LOST, 443), 'refused')
    assert.equal(await tried('127.0.0.1', (other.address() as { port: number }).port), 'open\n')
  })

  it('changes by a reload', async () => {
    const { port } = other.address() as { port: number }
    const config = JSON.parse(readFileSync(agent.configFile, 'utf8'))
    writeFileSync(agent.configFile, JSON.stringify({ ...config, ...keys(`127.0.0.1:${port}`) }))
    process.kill(agent.pid, 'SIGHUP')
    await eventually('the rules have changed', async () => (await tried('127.0.0.1', port)) === 'refused')
    assert.equal(await tried('127.0.0.1', agent.port), 'refused')
  })

  it('stays as it is after a crash, and is replaced by the next start', async () => {
    await agent.kill()
    assert.ok(hasTable(table))
    await start('1.2.3.4')
    assert.match(nft('list', 'table', 'inet', table), /1\.2\.3\.4/)
    assert.doesNotMatch(nft('list', 'table', 'inet', table), /198\.18/)
    assert.equal(await tried('127.0.0.1', agent.port), 'refused')
  })

  it('stays while executions outlive the agent', async () => {
    const id = await calls.start('wait')
    process.kill(agent.pid, 'SIGUSR2')
    await eventually('it has left', () => !isRunning(agent.pid))
    assert.ok(hasTable(table))
    await start()
    assert.equal(await tried('127.0.0.1', agent.port), 'refused')
    await calls.cancel(id)
  })

  it('is told to be open where there is no nft, which refuses a start that must deny something', async () => {
    const run_as = user.name
    const alone = { run_as, functions: { uids: `${UIDS.first}-${UIDS.last}` } }
    const found = await startTestAgent({ config: alone, through: WITHOUT_NFT })
    const told =
      'functions can reach the port of this agent, its store, and what network.deny names: there is no nft on this node'
    assert.ok(found.logs().includes(`${told}; apt install nftables`))
    const doctor = [...WITHOUT_NFT.slice(1), process.execPath, CLI, 'doctor', '--config', found.configFile]
    const { stdout } = spawnSync(WITHOUT_NFT[0], doctor, { encoding: 'utf8' })
    assert.ok(stdout.includes(`warn  network       ${told}; apt install nftables\n`), stdout)
    await found.stop()
    const must = { ...alone, isolation: 'required', network: { deny: [LOST] } }
    await assert.rejects(startTestAgent({ config: must, through: WITHOUT_NFT }), /network\.deny: functions can reach/)
  })

  it('goes with a stop', async () => {
    assert.equal(await agent.stop(), 0)
    assert.ok(!hasTable(table))
    await start()
  })
})
