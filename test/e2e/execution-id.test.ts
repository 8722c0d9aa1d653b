import assert from 'node:assert/strict'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { before, beforeEach, it } from 'node:test'
import { eventually } from '../../harness/eventually.js'
import { describeAgent } from '../support/describe-agent.js'
import { callSync } from '../support/live-calls.js'

const TAKEN = 'execution ID already exists'

describeAgent('an execution id', ({ agent, calls }) => {
  let gate: string
  let journal: string
  let count = 0

  before(async () => {
    // Each run leaves a line in the journal and ends once the gate is there.
    const lines = 'echo run >> "$1"; echo ready; while [ ! -e "$2" ]; do sleep 0.02; done'
    await calls.script('journal', lines)
    await calls.script('queued', lines, { max_concurrency: 1, max_concurrency_behavior: 'wait' })
  })
  beforeEach(() => {
    gate = join(agent.dir, `gate-${count}`)
    journal = join(agent.dir, `journal-${count++}`)
  })

  const open = () => writeFileSync(gate, '')
  const runs = () => (existsSync(journal) ? readFileSync(journal, 'utf8').split('\n').length - 1 : 0)
  const request = (id: string, functionName = 'journal') => ({
    function_name: functionName,
    args: [journal, gate],
    execution_id: id,
  })

  async function assertTaken(id: string): Promise<void> {
    const before = runs()
    for (const functionName of ['journal', 'queued']) {
      assert.equal((await calls.execute(request(id, functionName))).error, TAKEN)
      assert.equal((await calls.execute({ ...request(id, functionName), async: true })).error, TAKEN)
    }
    assert.equal(runs(), before)
  }

  it('is refused while a sync execution has it', async () => {
    const call = callSync(agent.client, request('sync'))
    await calls.printed('sync', 'ready')
    await assertTaken('sync')
    open()
    await call.outcome
    assert.equal(runs(), 1)
  })

  it('is refused while an async execution has it, and once that is recorded', async () => {
    await calls.execute({ ...request('async'), async: true })
    await calls.printed('async', 'ready')
    await assertTaken('async')
    assert.equal((await calls.record('async')).status, 'running')
    open()
    const record = await calls.ended('async')
    await assertTaken('async')
    assert.deepEqual(await calls.record('async'), record)
    assert.equal(runs(), 1)
  })

  it('is refused while an execution that waits for a slot has it', async () => {
    await calls.execute({ ...request('first', 'queued'), async: true })
    await calls.printed('first', 'ready')
    await calls.execute({ ...request('second', 'queued'), async: true })
    const third = callSync(agent.client, request('third', 'queued'))
    await eventually('the third waits', async () => (await calls.get('third')).found)
    await assertTaken('second')
    await assertTaken('third')
    open()
    await Promise.all([calls.ended('first'), calls.ended('second'), third.outcome])
    assert.equal(runs(), 3)
  })

  it('is still refused after a restart of the agent', async () => {
    open()
    await calls.execute({ ...request('before-restart'), async: true })
    await calls.ended('before-restart')
    assert.equal((await calls.execute(request('sync-before-restart'))).error, '')
    await agent.restart()
    await assertTaken('before-restart')
    await assertTaken('sync-before-restart')
  })

  it('is still refused after a SIGKILL of the agent, also of one that ran then', async () => {
    await calls.execute({ ...request('killed-async'), async: true })
    await calls.printed('killed-async', 'ready')
    const call = callSync(agent.client, request('killed-sync'))
    await calls.printed('killed-sync', 'ready')
    await agent.kill()
    assert.ok((await call.outcome) instanceof Error)
    await agent.start()
    open()
    await assertTaken('killed-async')
    await assertTaken('killed-sync')
    assert.equal(runs(), 2)
  })

  it('runs once of many that come at the same time', async () => {
    const answers = Promise.all(
      Array.from({ length: 20 }, (_, i) => calls.execute({ ...request('contended'), async: i % 2 === 0 })),
    )
    await calls.printed('contended', 'ready')
    open()
    const errors = (await answers).map(({ error }) => error)
    assert.deepEqual(errors.toSorted(), ['', ...Array(19).fill(TAKEN)])
    assert.equal(runs(), 1)
  })

  it('is refused once a sync execution that had it has been answered, of which there is no record', async () => {
    open()
    assert.equal((await calls.execute(request('again'))).error, '')
    for (let i = 0; i < 10; i++) await assertTaken('again')
    assert.equal(runs(), 1)
    assert.equal((await calls.get('again')).found, false)
  })

  it('of one that was turned away is free', async () => {
    await calls.script('single', 'echo ready; while [ ! -e "$2" ]; do sleep 0.02; done', { max_concurrency: 1 })
    await calls.execute({ ...request('holder', 'single'), async: true })
    const refused = await calls.execute({ ...request('turned-away', 'single'), async: true })
    assert.equal(refused.error, 'function single at capacity')
    assert.equal((await calls.ended('turned-away')).refused, true)
    open()
    await calls.ended('holder')
    assert.equal((await calls.execute({ ...request('turned-away', 'single'), async: true })).error, '')
    await eventually('it has run', async () => (await calls.ended('turned-away')).status === 'success')
  })

  it('must be given for an async execution', async () => {
    const { error } = await calls.execute({ ...request(''), async: true })
    assert.equal(error, 'execution_id "" is not allowed; allowed: 1 to 200 printable ASCII characters without spaces')
    assert.equal(runs(), 0)
  })

  for (const id of ['a b', 'a\n', 'é', ' ', 'x'.repeat(201)]) {
    it(`is refused where it is ${JSON.stringify(id.slice(0, 5))}, and nothing is run`, async () => {
      for (const async of [false, true]) {
        const { error } = await calls.execute({ ...request(id), async })
        assert.match(error, /^execution_id ".*" is not allowed; allowed: 1 to 200 printable ASCII/)
      }
      assert.equal(runs(), 0)
    })
  }

  it('may be any 200 printable characters', async () => {
    open()
    const id = '!"#$%&\'()*+,-./{}~'.padEnd(200, ':')
    await calls.execute({ ...request(id), async: true })
    assert.equal((await calls.ended(id)).execution_id, id)
  })
})
