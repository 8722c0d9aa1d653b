import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { describe, it, type TestContext } from 'node:test'
import pino from 'pino'
import { makeTempDir } from '../../harness/agent.js'
import { eventually } from '../../harness/eventually.js'
import { onExit } from '../../harness/on-exit.js'
import { noRedis, RedisServer } from '../../harness/redis.js'
import type { Endpoint } from '../../src/config/endpoint.js'
import { readNetworkTarget } from '../../src/config/network-target.js'
import { nodeAddresses } from '../../src/host/node-addresses.js'
import { FunctionFirewall } from '../../src/main/function-firewall.js'
import { Nftables, tableOf } from '../../src/os/linux/firewall/nftables.js'
import { FirewallError } from '../../src/os/platform.js'
import type { StoreLocation } from '../../src/store/open.js'
import { linesOf } from '../support/log-lines.js'
import { hasTable, nft, noFirewall, Reach, someUids } from '../support/reach.js'

const UIDS = someUids()
const FUNCTION = UIDS.first
const EMBEDDED: StoreLocation = { kind: 'embedded', path: '/nowhere' }
const FUNCTIONS = { separate: true, uids: UIDS, tmpBytes: 0, diskBytes: 0, network: 'host', codeCache: false } as const

interface Given {
  readonly port?: number
  readonly store?: StoreLocation
  readonly broken?: boolean
  readonly metrics?: Endpoint
}

describe('what functions cannot reach', { skip: noFirewall }, () => {
  let reach: Reach
  const tried = (address: string, port: number) => {
    reach ??= new Reach()
    return reach.try(FUNCTION, 'tcp', address, port)
  }

  function start(t: TestContext, { port = 0, store = EMBEDDED, broken = false, metrics }: Given = {}) {
    const stateDir = makeTempDir('flux-firewall-')
    const table = tableOf(stateDir)
    onExit(() => spawnSync('nft', ['delete', 'table', 'inet', table]))
    let log = ''
    const write = (line: string) => {
      log += line
    }
    const logger = pino({ base: {} }, { write })
    const nftables = broken ? new Broken(stateDir, stateDir) : new Nftables(stateDir, stateDir)
    const config = {
      port,
      store,
      deny: [],
      functions: FUNCTIONS,
      network: {},
      ...(metrics && { metrics: { ...metrics, allowedHosts: [] } }),
    }
    const firewall = new FunctionFirewall(nftables, config, logger)
    t.after(() => firewall.close())
    const warnings = () => linesOf(log).filter(({ level }) => level >= 40)
    return { firewall, table, warnings }
  }

  it('is a Redis of this node, by whatever name it is configured', { skip: noRedis ?? false }, async (t) => {
    const redis = await RedisServer.start()
    t.after(() => redis.stop())
    assert.equal(await tried('127.0.0.1', redis.port), 'ok')
    const { firewall } = start(t, { store: { kind: 'redis', address: `redis://:secret@localhost:${redis.port}/3` } })
    assert.equal(await firewall.refresh(), undefined)
    assert.equal(await tried('127.0.0.1', redis.port), 'ECONNREFUSED')
    assert.equal(await reach.try(0, 'tcp', '127.0.0.1', redis.port), 'ok')
  })

  it('is the port of the agent once it is known, also by a public address that leads back here', async (t) => {
    const server = createServer((connection) => connection.end()).listen(0)
    t.after(() => server.close())
    const { port } = server.address() as { port: number }
    const { firewall } = start(t)
    await firewall.refresh()
    assert.equal(await tried('127.0.0.1', port), 'ok')
    const addresses = nodeAddresses({ privateIp: '127.0.0.1', publicIp: '198.18.1.1' })
    await firewall.serving([port], addresses)
    assert.equal(await tried('127.0.0.1', port), 'ECONNREFUSED')
    assert.equal(await tried('::1', port), 'ECONNREFUSED')
    assert.equal(await tried('198.18.1.1', port), 'ECONNREFUSED')
  })

  it('is the address of the metrics, whatever is given for the agent', async (t) => {
    const server = createServer((connection) => connection.end()).listen(0, '127.0.0.1')
    await once(server, 'listening')
    t.after(() => server.close())
    const { port } = server.address() as { port: number }
    const { firewall } = start(t, { metrics: { host: '127.0.0.1', port } })
    await firewall.refresh()
    assert.equal(await tried('127.0.0.1', port), 'ECONNREFUSED')
    assert.equal(await reach.try(0, 'tcp', '127.0.0.1', port), 'ok')
    firewall.use([readNetworkTarget('198.18.1.3') ?? assert.fail()])
    await eventually('it is denied', async () => (await tried('198.18.1.3', 9)) === 'ECONNREFUSED')
    assert.equal(await tried('127.0.0.1', port), 'ECONNREFUSED')
  })

  it('follows a reload, and comes back with a warning after somebody has removed it', async (t) => {
    const { firewall, table, warnings } = start(t)
    await firewall.refresh()
    const target = readNetworkTarget('198.18.1.2') ?? assert.fail()
    firewall.use([target])
    await eventually('it is denied', async () => (await tried('198.18.1.2', 9)) === 'ECONNREFUSED')
    await firewall.refresh()
    assert.deepEqual(warnings(), [])

    nft('delete', 'table', 'inet', table)
    await firewall.refresh()
    assert.equal(await tried('198.18.1.2', 9), 'ECONNREFUSED')
    assert.deepEqual(
      warnings().map(({ msg }) => msg),
      [
        'the rules of the firewall for functions were gone, as after a restart of a firewall service that removes all: installed again',
      ],
    )
    await firewall.close()
    assert.ok(!hasTable(table))
  })

  it('is nothing where the firewall fails, which is told once and tried again', async (t) => {
    const { firewall, warnings } = start(t, { broken: true })
    for (let time = 0; time < 2; time++) assert.equal((await firewall.refresh())?.message, 'there is none')
    assert.deepEqual(
      warnings().map(({ msg }) => msg),
      ['functions can reach the port of this agent, its store, and what network.deny names: there is none; install it'],
    )
  })
})

class Broken extends Nftables {
  override async install(): Promise<void> {
    throw new FirewallError('there is none', 'install it')
  }
}
