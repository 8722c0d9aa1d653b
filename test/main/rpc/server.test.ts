import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { credentials, Server, ServerCredentials } from '@grpc/grpc-js'
import { Calls } from '../../../harness/calls.js'
import { answer, openConnection } from '../../../src/cli/connection.js'
import { boundTo, openListener } from '../../../src/host/listener.js'
import { createLog } from '../../../src/log/log.js'
import { Connections } from '../../../src/main/rpc/connections.js'
import { Handlers } from '../../../src/main/rpc/handler.js'
import { serve } from '../../../src/main/rpc/server.js'
import { AgentServiceDefinition } from '../../../src/proto.js'

/** A server with one slow call, which asks its connections for a sign of life all the time. */
async function slowServer(context: TestContext, answerAfterMs: number) {
  const handlers = new Handlers(createLog('silent'))
  let call = () => {}
  const called = new Promise<void>((resolve) => {
    call = resolve
  })
  const server = new Server({ 'grpc.keepalive_time_ms': 20, 'grpc.enable_channelz': 0 })
  server.addService(AgentServiceDefinition, {
    HealthCheck: handlers.unary(async () => {
      call()
      await sleep(answerAfterMs, undefined, { ref: false })
      return { healthy: true, version: 'slow' }
    }),
  })
  const listener = await openListener({ host: '127.0.0.1', port: 0 })
  const endpoint = { listener, connections: new Connections(), server, handlers }
  const stopServing = serve(endpoint, ServerCredentials.createInsecure())
  const client = openConnection(`127.0.0.1:${boundTo(listener).port}`, credentials.createInsecure())
  context.after(() => client.close())
  return { stopServing, called, client: client.agent }
}

test('a stop lets calls have their answers, whatever pings are due meanwhile', async (t) => {
  const { stopServing, called, client } = await slowServer(t, 500)
  const health = new Calls(client).health()
  await called
  // For some pings.
  await sleep(100)
  await stopServing()
  assert.equal((await health).version, 'slow')
})

test('a stop waits for no call longer than two seconds', async (t) => {
  const { stopServing, called, client } = await slowServer(t, 60_000)
  // Its own deadline would end it as well.
  const health = answer((options, done) => client.healthCheck({}, options, done), 60).catch(({ code }) => code)
  await called
  const told = performance.now()
  await stopServing()
  assert.ok(performance.now() - told < 10_000)
  assert.equal(typeof (await health), 'number')
})
