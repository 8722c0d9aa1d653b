import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { eventually } from '../../../harness/eventually.js'
import { FREE_PORT, noRedis, RedisServer } from '../../../harness/redis.js'
import { RedisStore } from '../../../src/store/redis/redis-store.js'
import { OutcomeUnknown, StoreUnavailable } from '../../../src/store/store.js'
import { settingsOf } from '../../support/settings.js'
import { ended, output, running } from '../records.js'

/** What a store at that address meets with its first writes, once that is one of these. */
async function problemAt(address: string, expected: RegExp): Promise<StoreUnavailable> {
  const store = new RedisStore(address)
  try {
    return await eventually(`${address.replace(/.*@/, '')}: ${expected}`, async () => {
      const problem = await attempt(store)
      assert.match(problem?.message ?? 'it takes writes', expected)
      return problem
    })
  } finally {
    await store.close()
  }
}

async function attempt(store: RedisStore): Promise<StoreUnavailable | undefined> {
  try {
    await store.begin(running('a'))
    await store.write([output('a', 0, 'x'), { kind: 'end', record: ended('a') }])
    return undefined
  } catch (error) {
    assert.ok(error instanceof StoreUnavailable, String(error))
    return error
  }
}

const noPython = spawnSync('python3', ['--version']).status === 0 ? false : 'no python3'

/** Has a socket for datagrams at its argument, and says so. */
const DATAGRAMS = `
import socket, sys
held = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
held.bind(sys.argv[1])
print('ready', flush=True)
sys.stdin.read()
`

/** Listens on a free port of the loopback, and greets each connection so. */
async function listener(greet: (socket: Socket) => void): Promise<{ port: number; server: Server }> {
  const server = createServer((socket) => {
    socket.on('error', () => {})
    greet(socket)
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  return { port: (server.address() as AddressInfo).port, server }
}

describe('what Redis refuses for good', { skip: noRedis ?? false }, () => {
  let server: RedisServer
  before(async () => {
    server = await RedisServer.start()
    await server.with(async (redis) => {
      await redis.acl('SETUSER', 'no-scripts', 'on', '>secret', '~*', '+@all', '-@scripting')
      await redis.acl('SETUSER', 'no-unlink', 'on', '>secret', '~*', '+@all', '-unlink')
      await redis.acl('SETUSER', 'no-keys', 'on', '>secret', '~other:*', '+@all')
    })
  })
  after(() => server.stop())

  const at = (credentials: string, path = '') => `redis://${credentials}127.0.0.1:${server.port}${path}`
  const refused = async (address: string, expected: RegExp) => {
    const problem = await problemAt(address, expected)
    assert.equal(problem.permanent, true, problem.message)
    assert.ok(problem.fix && problem.message.endsWith(`; ${problem.fix}`))
    assert.ok(!problem.message.includes('secret'))
  }

  it('a user without scripts, by the command', () =>
    refused(at('no-scripts:secret@'), /NOPERM.*'eval'.*; let its user do that: ACL SETUSER no-scripts \+eval$/))

  it('a user without a command inside a script', () =>
    refused(
      at('no-unlink:secret@'),
      /can't run this command.*; let its user do what scripts do: ACL SETUSER no-unlink /,
    ))

  it('a user without the keys', () => refused(at('no-keys:secret@'), /NOPERM.*; .*~flux:exec\* ~flux-agent:\*$/))

  it('a wrong password', () => refused(at('no-keys:wrong-secret@'), /WRONGPASS.*; correct user and password/))

  it('a database that it does not have, and writes into no other', async () => {
    await server.with((redis) => redis.flushall())
    await refused(at('', '/99'), /DB index is out of range; it has no such database/)
    assert.equal(await server.with((redis) => redis.dbsize()), 0)
  })

  it('no password where it wants one', async () => {
    const locked = await RedisServer.start()
    try {
      await locked.with((redis) => redis.config('SET', 'requirepass', 'x'))
      await refused(locked.address, /NOAUTH.*; it wants a password/)
    } finally {
      await locked.stop()
    }
  })

  it('one node of a cluster', async () => {
    const node = await RedisServer.start('--cluster-enabled', 'yes', '--cluster-port', FREE_PORT)
    try {
      await refused(node.address, /CLUSTERDOWN.*; it is one node of a Redis Cluster/)
      await node.with((redis) => redis.cluster('ADDSLOTSRANGE' as 'ADDSLOTS', 0, 16_383))
      await refused(node.address, /CROSSSLOT.*; it is one node of a Redis Cluster/)
      await node.with((redis) => redis.cluster('DELSLOTSRANGE' as 'DELSLOTS', 0, 8_000))
      await refused(node.address, /(CROSSSLOT|CLUSTERDOWN).*; it is one node of a Redis Cluster/)
    } finally {
      await node.stop()
    }
  })

  it('a command that it does not have', async () => {
    const crippled = await RedisServer.start('--rename-command', 'EVAL', '')
    try {
      await refused(crippled.address, /unknown command 'eval'; the agent needs a Redis 4 or newer that has EVAL/i)
    } finally {
      await crippled.stop()
    }
  })

  it('a replica that stays one, after some seconds', async () => {
    const replica = await RedisServer.start('--replicaof', '127.0.0.1', '1')
    const store = new RedisStore(replica.address)
    try {
      const first = await attempt(store)
      assert.match(first?.message ?? '', /READONLY.*; it is a replica: give the address of its primary/)
      assert.equal(first?.permanent, false)
      await eventually('it is told for good', async () => (await attempt(store))?.permanent)
      await replica.with((redis) => redis.replicaof('NO', 'ONE'))
      await eventually('it takes writes', async () => (await attempt(store)) === undefined)
    } finally {
      await store.close()
      await replica.stop()
    }
  })

  const strangers: readonly [string, (socket: Socket) => void][] = [
    ['a web server', (socket) => void socket.once('data', () => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'))],
    ['a server that greets first', (socket) => void socket.write('SSH-2.0-OpenSSH_9.2\r\n')],
    ['TLS', (socket) => void socket.once('data', () => socket.end(Buffer.from([21, 3, 3, 0, 2, 2, 70])))],
  ]
  for (const [name, greet] of strangers) {
    it(`${name} that speaks no Redis`, async () => {
      const { port, server: stranger } = await listener(greet)
      try {
        await refused(`redis://127.0.0.1:${port}`, /; what answers there is no Redis/)
      } finally {
        stranger.close()
      }
    })
  }

  it('a path at which there is no socket', async (t) => {
    const dir = mkdtempSync(join(tmpdir(), 'flux-socket-'))
    t.after(() => rmSync(dir, { recursive: true }))
    const instead = /; give the socket that Redis makes \(unixsocket in redis\.conf\) in redis_addr$/
    await refused(`unix://${dir}`, new RegExp(`^Redis at ${dir}: a folder is there, and no socket${instead.source}`))
    const file = join(dir, 'redis.conf')
    writeFileSync(file, '')
    await refused(file, new RegExp(`^Redis at ${file}: a file is there, and no socket${instead.source}`))
    await refused(join(file, 'below'), /ENOTDIR.*; correct redis_addr$/)
  })

  it('a socket of another kind', { skip: noPython }, async (t) => {
    const dir = mkdtempSync(join(tmpdir(), 'flux-socket-'))
    t.after(() => rmSync(dir, { recursive: true }))
    const datagrams = join(dir, 'log')
    const holder = spawn('python3', ['-c', DATAGRAMS, datagrams], { stdio: ['pipe', 'pipe', 'inherit'] })
    t.after(() => holder.kill('SIGKILL'))
    await once(holder.stdout, 'data')
    await refused(datagrams, /EPROTOTYPE.*; what is there is a socket of another kind: give the socket/)
  })

  it('a socket of Redis that takes the place of a file', async (t) => {
    const dir = mkdtempSync(join(tmpdir(), 'flux-socket-'))
    t.after(() => rmSync(dir, { recursive: true }))
    const path = join(dir, 'redis.sock')
    writeFileSync(path, '')
    const store = new RedisStore(path)
    t.after(() => store.close())
    await eventually('it is told', async () => (await attempt(store))?.permanent)
    const late = await RedisServer.start('--unixsocket', path)
    await eventually('it takes writes', async () => (await attempt(store)) === undefined)
    await late.stop()
    await eventually('it is away', async () => (await attempt(store))?.permanent === false)
  })

  it('protected mode', async () => {
    const { port, server: keeper } = await listener((socket) =>
      socket.end('-DENIED Redis is running in protected mode.\r\n'),
    )
    try {
      await refused(`redis://127.0.0.1:${port}`, /DENIED.*; its protected mode keeps this machine out/)
    } finally {
      keeper.close()
    }
  })
})

describe('what passes', { skip: noRedis ?? false }, () => {
  const passing = async (address: string, expected: RegExp) => {
    const problem = await problemAt(address, expected)
    assert.equal(problem.permanent, false, problem.message)
  }

  it('nobody listens, by what would help', async () => {
    await passing('redis://127.0.0.1:1', /ECONNREFUSED 127\.0\.0\.1:1; start Redis, or correct redis_addr$/)
    await passing('redis://no-such-host.invalid', /ENOTFOUND|EAI_AGAIN.*; no such name is known/)
    const dir = mkdtempSync(join(tmpdir(), 'flux-socket-'))
    await passing(join(dir, 'redis.sock'), /ENOENT.*; start Redis, which makes that socket/)
    rmSync(dir, { recursive: true })
  })

  it('full memory, too few replicas, a script that blocks it', async () => {
    const server = await RedisServer.start()
    try {
      await server.with((redis) => redis.config('SET', 'maxmemory', '1'))
      await passing(server.address, /OOM.*; raise its maxmemory/)
      await server.with((redis) => redis.config('SET', 'maxmemory', '0', 'min-replicas-to-write', '1'))
      await passing(server.address, /NOREPLICAS.*; it waits for its replicas/)
      await server.with((redis) => redis.config('SET', 'min-replicas-to-write', '0', 'busy-reply-threshold', '1'))
      const endless = spawn('redis-cli', ['-p', String(server.port), 'eval', 'while true do end', '0'])
      await passing(server.address, /BUSY.*; a script of somebody else blocks it/)
      spawnSync('redis-cli', ['-p', String(server.port), 'script', 'kill'])
      await once(endless, 'exit')
    } finally {
      await server.stop()
    }
  })

  it('a server that breaks off before it answers, of which nobody knows what it has stored', async () => {
    // Redis that is loading answers so, and takes commands a moment later.
    let asked = 0
    const { port, server } = await listener((socket) =>
      socket.on('data', () => {
        if (asked++ === 0) socket.write('-LOADING Redis is loading the dataset in memory\r\n')
        else socket.destroy()
      }),
    )
    const store = new RedisStore(`redis://127.0.0.1:${port}`)
    try {
      await assert.rejects(store.putFunction(settingsOf('f')), (error) => error instanceof OutcomeUnknown)
    } finally {
      await store.close()
      server.close()
    }
  })

  it('a server that hangs up without an answer', async () => {
    const { port, server } = await listener((socket) => void socket.once('data', () => socket.end()))
    try {
      await passing(`redis://127.0.0.1:${port}`, /; what listens there hangs up without an answer/)
    } finally {
      server.close()
    }
  })
})
