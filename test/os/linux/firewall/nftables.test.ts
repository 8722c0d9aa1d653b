import assert from 'node:assert/strict'
import { execFile, spawnSync } from 'node:child_process'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { type AddressInfo, connect, createServer } from 'node:net'
import { networkInterfaces } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { after, before, describe, it } from 'node:test'
import { promisify } from 'node:util'
import { makeTempDir } from '../../../../harness/agent.js'
import { onExit } from '../../../../harness/on-exit.js'
import { readNetworkTarget } from '../../../../src/config/network-target.js'
import { Nftables, tableOf } from '../../../../src/os/linux/firewall/nftables.js'
import { socketName } from '../../../../src/os/linux/launcher/connection.js'
import { FirewallError, type FirewallRules } from '../../../../src/os/platform.js'
import { hasTable, type Kind, nft, noFirewall, Reach, someUids } from '../../../support/reach.js'

const UIDS = someUids()
const FUNCTION = UIDS.first + 4
const OTHERS = [0, UIDS.first - 1, UIDS.last + 1]
/** Of networks for benchmarks and documents: nobody has them, and packets to them get lost. */
const METADATA = '198.18.169.254'
const LOST = '198.18.255.255'
const LOST6 = '2001:db8::ffff'

describe('the firewall of functions', { skip: noFirewall }, () => {
  const stateDir = makeTempDir('flux-firewall-')
  const scratchDir = join(stateDir, 'run')
  const table = tableOf(stateDir)
  const firewall = new Nftables(stateDir, scratchDir)
  mkdirSync(scratchDir)
  onExit(() => spawnSync('nft', ['delete', 'table', 'inet', table]))

  let reach: Reach
  const servers = [0, 1].map(() => createServer((connection) => connection.on('error', () => {}).end()))
  const datagrams = createSocket('udp6')
  let closed: number
  let open: number
  before(async () => {
    reach = new Reach()
    for (const server of servers) await once(server.listen(0, '::'), 'listening')
    ;[closed = 0, open = 0] = servers.map((server) => (server.address() as AddressInfo).port)
    await new Promise<void>((resolve) => datagrams.bind(open, '::', resolve))
  })
  after(() => {
    for (const server of servers) server.close()
    datagrams.close()
  })

  const rulesOf = (...deny: string[]): FirewallRules => ({
    uids: UIDS,
    localPorts: [closed],
    deny: deny.map((target) => readNetworkTarget(target) ?? assert.fail(target)),
  })
  /** What a function gets; it has to get it at once. */
  const got = async (kind: Kind, address: string, port: number): Promise<string> => {
    const start = performance.now()
    const answer = await reach.try(FUNCTION, kind, address, port)
    const took = performance.now() - start
    assert.ok(took < 5_000, `${kind} ${address} ${port}: ${answer} after ${took} ms`)
    return answer
  }

  it('closes a port of this machine, by whatever address and kind of connection, to functions alone', async (t) => {
    const interfaces = Object.entries(networkInterfaces()).flatMap(([name, found]) =>
      (found ?? []).map(({ address }) => (address.startsWith('fe80:') ? `${address}%${name}` : address)),
    )
    const addresses = ['0.0.0.0', '::', '127.8.9.10', '::ffff:127.0.0.1', ...interfaces]
    for (const address of addresses) assert.equal(await got('tcp', address, closed), 'ok', address)
    await firewall.install(rulesOf())
    for (const address of addresses) {
      assert.equal(await got('tcp', address, closed), 'ECONNREFUSED', address)
      assert.equal(await got('tcp', address, open), 'ok', address)
      for (const uid of OTHERS) assert.equal(await reach.try(uid, 'tcp', address, closed), 'ok', `${address} by ${uid}`)
    }
    for (const uid of [UIDS.first, UIDS.last])
      assert.equal(await reach.try(uid, 'tcp', '127.0.0.1', closed), 'ECONNREFUSED')
    assert.equal(await got('userns', '127.0.0.1', closed), 'ECONNREFUSED')
    // The same number in UDP is another port, and not the agent's.
    assert.equal(await got('udp', '127.0.0.1', closed), 'ok')
    const multipath = await reach.try(0, 'mptcp', '127.0.0.1', closed)
    if (multipath !== 'ok') t.diagnostic(`no MPTCP: ${multipath}`)
    else for (const address of ['127.0.0.1', '::1']) assert.equal(await got('mptcp', address, closed), 'ECONNREFUSED')
  })

  it('refuses at once what is denied: an address, a net, a port, and a port of either', async () => {
    spawnSync('ip', ['address', 'add', `${METADATA}/32`, 'dev', 'lo'])
    onExit(() => spawnSync('ip', ['address', 'del', `${METADATA}/32`, 'dev', 'lo']))
    await firewall.install(rulesOf())
    for (const kind of ['tcp', 'udp'] as const) assert.equal(await got(kind, METADATA, open), 'ok')

    await firewall.install(rulesOf(METADATA, '198.18.255.0/24', '2001:db8::/32'))
    assert.equal(await got('tcp', METADATA, open), 'ECONNREFUSED')
    assert.equal(await got('udp', METADATA, open), 'EPERM')
    assert.equal(await got('tcp', LOST, 443), 'ECONNREFUSED')
    // Where there is no way to it, connect(2) says so before any packet is made.
    assert.match(await got('tcp', LOST6, 443), /^(ECONNREFUSED|ENETUNREACH)$/)
    assert.equal(await got('tcp', '127.0.0.1', open), 'ok')
    assert.equal(await reach.try(0, 'tcp', METADATA, open), 'ok')

    await firewall.install(rulesOf(`${open}`))
    for (const address of ['127.0.0.1', '::1', METADATA]) {
      assert.equal(await got('tcp', address, open), 'ECONNREFUSED', address)
      assert.equal(await got('udp', address, open), 'EPERM', address)
    }

    await firewall.install(rulesOf(`${METADATA}:${open}`, `[::1]:${open}`, `127.0.0.0/24:${open}`))
    for (const address of [METADATA, '::1', '127.0.0.200']) {
      assert.equal(await got('tcp', address, open), 'ECONNREFUSED', address)
      assert.equal(await got('udp', address, open), 'EPERM', address)
    }
    assert.equal(await got('tcp', '127.0.1.1', open), 'ok')
  })

  it('takes targets that lie in one another, as twice the same and everything', async () => {
    const nets = ['10.0.0.0/8', '10.1.2.3', '10.255.0.0/16', '10.0.0.9/8', '0.0.0.0/0', '::/0', 'fd00::1', '25', '25']
    const ports = ['10.0.0.0/8:25', '10.1.1.1:25', '10.1.1.1:26', '0.0.0.0/0:25', '[::/0]:1', '[fd00::1]:1']
    await firewall.install(rulesOf(...nets, ...ports))
    assert.equal(await got('tcp', '127.0.0.1', open), 'ECONNREFUSED')
    const many = Array.from({ length: 5_000 }, (_, at) => `10.${at >> 8}.${at & 255}.0/25`)
    await firewall.install(rulesOf(...many))
    assert.equal(await got('tcp', '10.3.4.5', 1), 'ECONNREFUSED')
  })

  it('lets a function answer whoever calls it, and reach helpers of its own', { timeout: 20_000 }, async () => {
    const port = await reach.server(FUNCTION)
    // A port that nobody has, so that a caller can come from it.
    const spare = createServer().listen(0)
    const from = (spare.address() as AddressInfo).port
    spare.close()
    await firewall.install({ ...rulesOf('127.0.0.9', `${from}`), localPorts: [closed, from] })
    for (const localAddress of ['127.0.0.1', '127.0.0.9']) {
      const caller = connect({ port, host: '127.0.0.1', localAddress, localPort: from })
      assert.equal(await text(caller), 'hello', localAddress)
    }
    assert.equal(await got('tcp', '127.0.0.1', port), 'ok')
    assert.equal(await got('tcp', '127.0.0.9', port), 'ECONNREFUSED')
  })

  it('changes its rules with no moment in which there are none, and leaves the tables of others', async (t) => {
    const other = 'flux-agent-test-of-another'
    nft('add', 'table', 'inet', other)
    t.after(() => nft('delete', 'table', 'inet', other))
    await firewall.install(rulesOf())
    let changing = true
    const tried = (async () => {
      const answers = new Map<string, number>()
      while (changing) {
        const answer = await reach.try(FUNCTION, 'tcp', '127.0.0.1', closed)
        answers.set(answer, (answers.get(answer) ?? 0) + 1)
      }
      return answers
    })()
    // As the next agent does it after a crash.
    for (let time = 0; time < 10; time++) await new Nftables(stateDir, scratchDir).install(rulesOf(`${1 + time}`))
    changing = false
    assert.deepEqual([...(await tried).keys()], ['ECONNREFUSED'])
    assert.ok(hasTable(other))
  })

  it('finds out that somebody has taken them away', async () => {
    assert.equal(await new Nftables(stateDir, scratchDir).isInstalled(), false)
    await firewall.install(rulesOf('10.0.0.0/8'))
    assert.equal(await firewall.isInstalled(), true)
    nft('flush', 'table', 'inet', table)
    assert.equal(await firewall.isInstalled(), false)
    await firewall.install(rulesOf())
    assert.equal(await firewall.isInstalled(), true)
    nft('delete', 'table', 'inet', table)
    assert.equal(await firewall.isInstalled(), false)
  })

  it('stays while a launcher outlives its agent, and goes with the last', async () => {
    await firewall.install(rulesOf())
    const socket = join(scratchDir, socketName('left'))
    writeFileSync(socket, '')
    await firewall.release()
    assert.ok(hasTable(table))
    rmSync(socket)
    await firewall.release()
    assert.ok(!hasTable(table))
    assert.equal(await got('tcp', '127.0.0.1', closed), 'ok')
    // Once more does nothing, nor where somebody else was faster.
    await firewall.release()
    await firewall.install(rulesOf())
    nft('delete', 'table', 'inet', table)
    await firewall.release()
  })

  it('tells what would go wrong, and changes nothing', async () => {
    assert.equal(await firewall.problem(rulesOf('10.0.0.0/8')), undefined)
    assert.ok(!hasTable(table))
    const wrong = { ...rulesOf(), localPorts: [70_000] }
    const problem = (await firewall.problem(wrong)) ?? assert.fail('it would go')
    assert.match(problem.message, /^nft: /)
    await assert.rejects(firewall.install(wrong), (error) => error instanceof FirewallError)
  })

  /** Its problem in another process: as `setup` makes it, and with what it is run by. */
  async function problemIn(setup: string, ...by: string[]): Promise<unknown> {
    const module = JSON.stringify(new URL('../../../../src/os/linux/firewall/nftables.js', import.meta.url).href)
    const program = `
      import(${module}).then(async ({ Nftables }) => {
        ${setup}
        const rules = { uids: { first: 1, last: 2 }, localPorts: [1], deny: [] }
        const { message, fix } = await new Nftables('/nowhere', '/nowhere').problem(rules)
        console.log(JSON.stringify([message, fix]))
      })`
    const [file = '', ...args] = [...by, process.execPath, '--eval', program]
    const { stdout } = await promisify(execFile)(file, args)
    return JSON.parse(stdout)
  }

  it('says how to get nft, and which right it needs', async () => {
    const hide =
      'for dir in /usr/local/sbin /usr/local/bin /usr/sbin /sbin; do mount -t tmpfs none $dir; done; exec "$@"'
    assert.deepEqual(await problemIn('', 'unshare', '--mount', 'sh', '-ec', hide, 'sh'), [
      'there is no nft on this node',
      'apt install nftables',
    ])
    const [message, fix] = (await problemIn('process.setuid(54321)')) as [string, string]
    assert.match(message, /^nft: .*Operation not permitted/)
    assert.equal(fix, 'let the agent have CAP_NET_ADMIN')
  })
})
