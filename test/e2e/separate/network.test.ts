import assert from 'node:assert/strict'
import { createServer, type Server } from 'node:net'
import { after, before, describe, it } from 'node:test'
import { noRedis, RedisServer } from '../../../harness/redis.js'
import { describeBoth, describeSeparate, NODE } from '../../support/describe-functions.js'
import { noFirewall } from '../../support/reach.js'

/** Stands for the address at which a cloud tells its machines who they are. */
const METADATA = '127.169.254.169'

const NONE = { network: { node_public_ip: '192.0.2.1', functions: 'none' } }

describe('the network of functions', { skip: noFirewall ?? noRedis }, () => {
  const redis = new RedisServer()
  let server: Server
  before(async () => {
    await redis.restart()
    // Functions may leave before it has told them.
    server = createServer((socket) => socket.on('error', () => undefined).end('told')).listen(0, '0.0.0.0')
  })
  after(async () => {
    server.close()
    await redis.stop()
  })

  const config = () => ({ redis_addr: redis.address, network: { node_public_ip: '192.0.2.1', deny: [METADATA] } })
  describeBoth('with an agent on Redis', { config }, ({ agent, calls, separate }) => {
    before(() => calls.script('run', 'exec bash -c "$1"'))

    async function reaches(address: string, port: number): Promise<boolean> {
      const { error } = await calls.execute({
        function_name: 'run',
        args: [`exec 3<> /dev/tcp/${address}/${port}`],
      })
      return error === ''
    }

    const portOf = (listener: Server) => (listener.address() as { port: number }).port

    it('does not lead to the agent', async () => {
      assert.equal(await reaches('127.0.0.1', agent.port), !separate)
    })

    it('does not lead to its Redis', async () => {
      const port = Number(redis.address.split(':').at(-1))
      assert.equal(await reaches('127.0.0.1', port), !separate)
    })

    it('does not lead to what network.deny names', async () => {
      assert.equal(await reaches(METADATA, portOf(server)), !separate)
    })

    it('leads to everything else', async () => {
      assert.equal(await reaches('127.0.0.1', portOf(server)), true)
    })

    it('is the same after a restart of the agent', { skip: !separate }, async () => {
      await agent.restart()
      const port = Number(redis.address.split(':').at(-1))
      assert.equal(await reaches('127.0.0.1', agent.port), false)
      assert.equal(await reaches('127.0.0.1', port), false)
      assert.equal(await reaches(METADATA, portOf(server)), false)
    })
  })
})

describeSeparate('functions without a network', { config: NONE }, ({ agent, calls }) => {
  it('reach nobody but themselves', async () => {
    await calls.script('run', 'exec bash -c "$1"')
    const run = async (lines: string) => (await calls.execute({ function_name: 'run', args: [lines] })).error
    assert.notEqual(await run(`exec 3<> /dev/tcp/127.0.0.1/${agent.port}`), '')
    const serve = `require("net").createServer((s) => s.end()).listen(0, "127.0.0.1", function () { console.log(this.address().port) })`
    const server = `coproc ${NODE} -e '${serve}'; read port <&"\${COPROC[0]}"; exec 3<> /dev/tcp/127.0.0.1/$port`
    assert.equal(await run(server), '')
  })
})
