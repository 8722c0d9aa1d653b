import assert from 'node:assert/strict'
import { once } from 'node:events'
import { afterEach, beforeEach, describe, it } from 'node:test'
import { MessageChannel, type MessagePort } from 'node:worker_threads'
import { eventually } from '../../../harness/eventually.js'
import { type TaskListener, Worker, type WorkerTask } from '../../../src/main/executions/worker.js'
import type { ExecuteTask, FromExecution, FromThread, LaunchSpec, ToThread } from '../../../src/threads/messages.js'
import { ended } from '../../store/records.js'

const PROGRAM: LaunchSpec = {
  functionName: 'hello',
  versionDir: '/apps/hello/1',
  sandboxed: false,
  handler: 'main',
  env: {},
  timeoutSeconds: 0,
  limits: { memoryMb: 0, cpuMillicores: 0 },
}

describe("the main thread's end of a supervising thread", () => {
  let thread: Worker
  let there: MessagePort

  beforeEach(() => {
    const { port1, port2 } = new MessageChannel()
    there = port2
    thread = new Worker({ kind: 'hello', port: port1, queuesId: 'queue' })
    // Here nothing else keeps the process.
    port1.ref()
  })
  afterEach(() => there.close())

  function execute(id: string, listener = silent(), spec = PROGRAM): WorkerTask {
    return thread.execute(spec, task(id), listener)
  }

  const heardThere = async () => (await once(there, 'message'))[0] as ToThread[]
  const say = (...messages: FromThread[]) => there.postMessage(messages)

  it('sends the only task at once, the others of one turn in one message, and a spec once until it changes', async () => {
    for (const id of ['a', 'b', 'c']) execute(id)
    assert.deepEqual(await heardThere(), [
      { kind: 'launch spec', spec: PROGRAM },
      { kind: 'execute', number: 1, task: task('a') },
    ])
    assert.deepEqual(await heardThere(), [
      { kind: 'execute', number: 2, task: task('b') },
      { kind: 'execute', number: 3, task: task('c') },
    ])
    const changed = { ...PROGRAM, handler: 'other' }
    execute('d', silent(), changed)
    assert.deepEqual(await heardThere(), [
      { kind: 'launch spec', spec: changed },
      { kind: 'execute', number: 4, task: task('d') },
    ])
  })

  it('is asked for signs of life, and stands still without any', async () => {
    for (let i = 0; i < 5; i++) thread.ping()
    assert.deepEqual(await heardThere(), [{ kind: 'ping' }])
    assert.equal(thread.standsStill, false)
    thread.ping()
    assert.equal(thread.standsStill, true)
    say({ kind: 'pong' })
    await eventually('it has heard of it', () => !thread.standsStill)
    thread.ping()
    assert.deepEqual(await heardThere(), [{ kind: 'ping' }])
  })

  it('sends a kill at once, after all that was said before', async () => {
    execute('a')
    await heardThere()
    execute('b').send({ kind: 'kill', cause: 'cancelled' })
    const heard = heardThere()
    // Nothing is sent later in this turn any more.
    execute('c')
    assert.deepEqual(
      (await heard).map(({ kind }) => kind),
      ['execute', 'message'],
    )
  })

  it('does not gather more than the thread should wait for', async () => {
    for (let i = 0; i < 100; i++) execute(`${i}`)
    let executions = 0
    while (executions < 100) {
      const heard = await heardThere()
      assert.ok(heard.length <= 32, `${heard.length} in one message`)
      executions += heard.filter(({ kind }) => kind === 'execute').length
    }
    assert.equal(thread.load, 100)
  })

  it('settles a task once nothing is left to do, and answers nothing of it after that', async () => {
    const listener = silent()
    execute('a', listener)
    const outcome = { kind: 'success' as const, record: ended('a'), output: new Uint8Array() }
    say({ kind: 'message', number: 1, message: { kind: 'ended', outcome } }, { kind: 'settled', number: 1 })
    await eventually('it is settled', () => listener.heard.length === 2)
    assert.deepEqual(listener.heard, ['ended', 'settled'])
    assert.equal(thread.load, 0)
  })

  it('fails the tasks of a thread that dies, once all it has said is heard', async () => {
    const [first, second] = [silent(), silent()]
    for (const [id, listener] of [
      ['a', first],
      ['b', second],
    ] as const)
      execute(id, listener)
    say({ kind: 'message', number: 1, message: { kind: 'started', pid: 7, at: 0 } }, { kind: 'settled', number: 1 })
    there.close()
    await thread.closed
    assert.deepEqual([first.heard, second.heard], [['started', 'settled'], ['it died']])
  })

  it('fails a task alone whose thread says that it has a fault', async () => {
    const listener = silent()
    execute('a', listener)
    say({ kind: 'failed', number: 1, error: 'a fault' })
    await eventually('it is told', () => listener.heard.length > 0)
    assert.deepEqual(listener.heard, ['a fault'])
  })
})

function task(id: string): ExecuteTask {
  return { id, idNumber: undefined, async: false, functionName: 'hello', args: [], variables: undefined, hold: false }
}

function silent(): TaskListener & { readonly heard: string[] } {
  const heard: string[] = []
  return {
    heard,
    receive: (message: FromExecution) => heard.push(message.kind),
    settled: () => heard.push('settled'),
    failed: ({ message }) => heard.push(message),
  }
}
