import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { Metadata } from '@grpc/grpc-js'
import { makeTempDir, startTestAgent, type TestAgent } from '../../harness/agent.js'
import { Calls } from '../../harness/calls.js'
import { eventually } from '../../harness/eventually.js'
import type { ExecutionRequest } from '../../src/generated/flux/ExecutionRequest.js'
import type { ExecutionResponse__Output } from '../../src/generated/flux/ExecutionResponse.js'
import { Collector, guardedCollector, type Span } from '../support/collector.js'
import { linesOf } from '../support/log-lines.js'

const TRACE = '0af7651916cd43dd8448eb211c80319c'
const SPAN = 'b7ad6b7169203331'
const PRINT = 'echo "$TRACEPARENT|$TRACESTATE"'
const NODE = { timeout: 240_000 }

/** Executes a function with these headers. */
function execute({ client }: TestAgent, headers: Readonly<Record<string, string>>, request: ExecutionRequest) {
  const metadata = new Metadata()
  for (const [name, value] of Object.entries(headers)) metadata.set(name, value)
  return new Promise<ExecutionResponse__Output>((resolve, reject) => {
    client.executeFunction(request, metadata, (error, answer) =>
      error ? reject(error) : resolve(answer as ExecutionResponse__Output),
    )
  })
}

const printed = async (agent: TestAgent, headers: Readonly<Record<string, string>>, name = 'print') =>
  (await execute(agent, headers, { function_name: name })).output.toString().trim()

describe('the trace of a caller', NODE, () => {
  let agent: TestAgent

  before(async () => {
    agent = await startTestAgent()
    const calls = new Calls(agent.client)
    await calls.script('print', PRINT)
    await calls.script('own', PRINT, { env: { TRACEPARENT: 'its own', TRACESTATE: 'too' } })
  })
  after(() => agent.stop())

  it('reaches the function, where no spans are recorded', async () => {
    const traceparent = `00-${TRACE}-${SPAN}-01`
    assert.equal(await printed(agent, { traceparent }), `${traceparent}|`)
    assert.equal(await printed(agent, { traceparent, tracestate: 'a=1,b=2' }), `${traceparent}|a=1,b=2`)
    assert.equal(await printed(agent, { traceparent: `00-${TRACE}-${SPAN}-00` }, 'own'), `00-${TRACE}-${SPAN}-00|too`)
  })

  it('is left out where it is not valid', async () => {
    assert.equal(await printed(agent, { traceparent: `00-${TRACE}-${SPAN}-01; rm -rf /`, tracestate: 'a=1' }), '|')
    assert.equal(await printed(agent, {}, 'own'), 'its own|too')
  })
})

const attributeOf = (span: Span, key: string) => span.attributes?.find((found) => found.key === key)?.value

describe('the spans of an execution', NODE, () => {
  let collector: Collector
  let config: Readonly<Record<string, unknown>>
  let agent: TestAgent
  let calls: Calls

  before(async () => {
    const guarded = await guardedCollector()
    collector = guarded.collector
    const endpoint = `https://127.0.0.1:${await collector.listen()}`
    config = { log_level: 'debug', traces: { endpoint, ...guarded.keys } }
    agent = await startTestAgent({ config })
    calls = new Calls(() => agent.client)
    await calls.script('print', PRINT)
    await calls.script('fail', 'sleep 0.1; exit 3', { max_concurrency: 1, max_concurrency_behavior: 'wait' })
  })
  after(async () => {
    await agent.stop()
    collector.close()
  })

  /** The spans of an execution, by their name without the function's. */
  const spansOf = async (id: string) => {
    const root = await eventually('its spans are there', () =>
      collector.spans.find((span) => attributeOf(span, 'faas.invocation_id')?.['stringValue'] === id),
    )
    const all = collector.spans.filter(({ traceId }) => traceId === root.traceId)
    return { root, parts: Object.fromEntries(all.filter((span) => span !== root).map((span) => [span.name, span])) }
  }

  it('continue the caller’s trace, and are continued by the function', async () => {
    const headers = { traceparent: `00-${TRACE}-${SPAN}-01`, tracestate: 'a=1' }
    const { output } = await execute(agent, headers, { function_name: 'print', execution_id: 'sync' })
    const { root, parts } = await spansOf('sync')
    assert.deepEqual(
      [root.traceId, root.parentSpanId, root.traceState, root.name, root.kind, root.status],
      [TRACE, SPAN, 'a=1', 'execute print', 2, { code: 1 }],
    )
    assert.deepEqual(Object.keys(parts), ['queue', 'start', 'run'])
    assert.equal(output.toString(), `00-${TRACE}-${parts['run']?.spanId}-01|a=1\n`)
    for (const span of [root, ...Object.values(parts)]) {
      assert.match(span.spanId, /^[\da-f]{16}$/)
      assert.match(span.startTimeUnixNano, /^\d{19}$/)
      assert.ok(BigInt(span.startTimeUnixNano) <= BigInt(span.endTimeUnixNano))
      assert.ok(Math.abs(Number(span.startTimeUnixNano) / 1e6 - Date.now()) < 60_000)
    }
    for (const part of Object.values(parts)) assert.equal(part.parentSpanId, root.spanId)
    assert.equal(new Set([root, ...Object.values(parts)].map(({ spanId }) => spanId)).size, 4)
  })

  it('of an async one go on after its answer, and tell how long it waited and why it failed', async () => {
    await calls.start('fail', [], 'first')
    await calls.start('fail', [], 'second')
    const { root, parts } = await spansOf('second')
    assert.deepEqual(root.status, { code: 2, message: 'exit code 3' })
    assert.equal(root.parentSpanId, undefined)
    assert.deepEqual(Object.keys(parts), ['queue', 'start', 'run', 'store'])
    // On a busy machine it is told late that the process runs.
    const ms = (Number(parts['run']?.endTimeUnixNano) - Number(parts['start']?.startTimeUnixNano)) / 1e6
    assert.ok(ms >= 90, `${ms} ms`)
    const first = await spansOf('first')
    assert.ok(Number(parts['queue']?.endTimeUnixNano) >= Number(first.parts['run']?.endTimeUnixNano))
    assert.notEqual(root.traceId, first.root.traceId)
  })

  it('are none where the caller records none', async () => {
    const traceparent = `00-${TRACE.replace('0', '1')}-${SPAN}-00`
    assert.equal(await printed(agent, { traceparent }), `${traceparent}|`)
    await calls.execute({ function_name: 'print', execution_id: 'later' })
    await spansOf('later')
    assert.equal(
      collector.spans.some(({ traceId }) => traceparent.includes(traceId)),
      false,
    )
  })

  it('of a refused one are one, with the reason', async () => {
    const headers = { traceparent: `00-${TRACE.replace('0', '2')}-${SPAN}-01` }
    const name = `nobody ${'x'.repeat(200)}`
    await execute(agent, headers, { function_name: name, execution_id: 'refused' })
    const { root, parts } = await spansOf('refused')
    assert.deepEqual(
      [root.parentSpanId, root.name, root.status, parts],
      [SPAN, `execute ${name.slice(0, 128)}`, { code: 2, message: 'function not found' }, {}],
    )
    assert.deepEqual(attributeOf(root, 'flux.refused'), { stringValue: 'function_unknown' })
    const [line] = linesOf(agent.logs()).filter(({ msg }) => msg === 'execution refused')
    assert.deepEqual([line?.['execution'], line?.['reason'], line?.level], ['refused', 'function_unknown', 20])
  })

  it('of one that cannot be started end with its start', async () => {
    await calls.script('renamed', 'true')
    await calls.register({ name: 'renamed', handler: 'gone' })
    const { error } = await calls.execute({ function_name: 'renamed', execution_id: 'unstarted' })
    const { root, parts } = await spansOf('unstarted')
    assert.deepEqual([root.status, Object.keys(parts)], [{ code: 2, message: error }, ['queue', 'start']])
  })

  it('of one that another agent takes over go on in their trace, from its begin', async () => {
    await calls.script('outlives', `${PRINT}; while [ ! -e "$1" ]; do sleep 0.05; done`)
    const gate = join(makeTempDir('flux-traces-'), 'gate')
    const headers = { traceparent: `00-${TRACE.replace('0', '3')}-${SPAN}-01` }
    const called = Date.now()
    await execute(agent, headers, { function_name: 'outlives', execution_id: 'adopted', args: [gate], async: true })
    const { output = '' } = await calls.printed('adopted', '\n')
    await agent.kill()
    agent = await startTestAgent({ config, dir: agent.dir })
    const restarted = Date.now()
    writeFileSync(gate, '')
    const { root, parts } = await spansOf('adopted')
    assert.deepEqual([root.parentSpanId, root.status, Object.keys(parts)], [SPAN, { code: 1 }, ['run', 'store']])
    assert.deepEqual(attributeOf(root, 'flux.adopted'), { boolValue: true })
    assert.ok(output.includes(`-${parts['run']?.spanId}-01|`), output)
    for (const span of [root, parts['run']]) {
      const [begun, ended] = [Number(span?.startTimeUnixNano) / 1e6, Number(span?.endTimeUnixNano) / 1e6]
      assert.ok(begun > called - 100 && begun < restarted && ended > restarted - 100, `${called} ${begun} ${ended}`)
    }
  })

  it('that wait are sent by a stop', async () => {
    await calls.execute({ function_name: 'print', execution_id: 'last' })
    assert.equal(await agent.stop(), 0)
    await spansOf('last')
  })
})

describe('a collector that takes no spans', NODE, () => {
  const collector = new Collector()
  let agent: TestAgent
  let calls: Calls
  const lines = (message: string) => linesOf(agent.logs()).filter(({ msg }) => msg.startsWith(message))

  before(async () => {
    // Its port is known, and nobody listens there.
    const port = await collector.listen()
    collector.close()
    agent = await startTestAgent({ config: { traces: { endpoint: `http://127.0.0.1:${port}` } } })
    calls = new Calls(agent.client)
    await calls.script('print', PRINT)
  })
  after(() => agent.stop())

  it('disturbs no execution: what it does not take waits within a bound, and is counted beyond it', async () => {
    const count = 2_600
    const run = async (n: number) =>
      assert.equal((await calls.execute({ function_name: 'print', execution_id: `number-${n}` })).error, '')
    for (let n = 0; n < count; n += 50) await Promise.all(Array.from({ length: 50 }, (_, m) => run(n + m)))
    const [away] = lines('traces are not taken')
    assert.equal(away?.['cause'], 'ECONNREFUSED')
    const back = new Collector()
    await back.listen(Number(new URL(String(away?.['endpoint'])).port))
    const taken = await eventually('they are taken again', () => lines('traces are taken again')[0], 60)
    await eventually('what waited is sent', () => back.spans.filter(({ kind }) => kind === 2).length === 2_000)
    assert.equal(taken['dropped'], count - 2_000)
    assert.equal(lines('traces are').length, 2)

    for (const [status, cause] of [
      [500, 'HTTP 500'],
      [503, 'HTTP 503'],
    ] as const) {
      back.status = status
      await run(10_000 + status)
      await eventually('it is told', () => lines('traces are not taken').some((line) => line['cause'] === cause), 30)
      back.status = 200
      await run(20_000 + status)
      const times = lines('traces are not taken').length
      await eventually('it is over', () => lines('traces are taken again').length === times, 30)
    }
    // It hangs: the stop does not.
    back.status = undefined
    const requests = back.requests
    await run(9_999)
    await eventually('it hangs', () => back.requests > requests)
    assert.equal(await agent.stop(), 0)
    assert.equal(lines('traces were dropped').length, 1)
    back.close()
  })
})
