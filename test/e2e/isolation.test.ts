import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { startTestAgent, type TestAgent } from '../../harness/agent.js'
import { Calls } from '../../harness/calls.js'
import { platform } from '../../src/os/index.js'
import { scriptZip } from '../support/apps.js'
import { describeAgent } from '../support/describe-agent.js'

const { memory, cpu } = platform.inspectIsolation().unenforced
const skip = memory && cpu ? false : 'limits of memory and processor time are kept here'

/** What the log says as warnings. */
function warnings(agent: TestAgent): string[] {
  const lines = agent.logs().split('\n').filter(Boolean)
  return lines
    .map((line) => JSON.parse(line) as { level: number; msg: string })
    .flatMap((line) => (line.level === 40 ? [line.msg] : []))
}

describe('where limits cannot be kept', { skip }, () => {
  const LIMITS = { memory_mb: 64, cpu_millicores: 500 }

  describeAgent('an agent with isolation: required', { config: { isolation: 'required' } }, ({ calls }) => {
    for (const [key, value] of Object.entries(LIMITS)) {
      const expected = (name: string) =>
        `function ${name} not registered: ${key} ${value} cannot be enforced on this node (${key === 'memory_mb' ? memory : cpu}), ` +
        `and its configuration says isolation: required; allowed: ${key} 0, or isolation: best_effort`

      it(`refuses to register a function with ${key}`, async () => {
        const ack = await calls.register({ name: key, handler: 'main.sh', [key]: value })
        assert.deepEqual([ack.success, ack.message], [false, expected(key)])
        assert.equal((await calls.deploy(key, scriptZip('true'))).message, 'function not registered')
      })

      it(`refuses to deploy a function with ${key}`, async () => {
        const ack = await calls.deploy(`${key}-2`, scriptZip('true'), {
          name: `${key}-2`,
          handler: 'main.sh',
          [key]: value,
        })
        assert.deepEqual([ack.success, ack.message], [false, expected(`${key}-2`)])
        assert.equal((await calls.execute({ function_name: `${key}-2` })).error, 'function not found')
      })
    }

    it('keeps a function as it was that is to get such a limit', async () => {
      await calls.script('kept', 'echo kept')
      assert.equal((await calls.register({ name: 'kept', handler: 'main.sh', memory_mb: 64 })).success, false)
      assert.equal(
        (await calls.deploy('kept', scriptZip('echo new'), { name: 'kept', handler: 'main.sh', cpu_millicores: 1 }))
          .success,
        false,
      )
      const { output, error } = await calls.execute({ function_name: 'kept' })
      assert.deepEqual([output.toString(), error], ['kept\n', ''])
    })

    it('runs functions without limits', async () => {
      await calls.script('free', 'echo free')
      assert.equal((await calls.execute({ function_name: 'free' })).output.toString(), 'free\n')
    })
  })

  it('an agent with isolation: best_effort says so at its start, and runs them without', async () => {
    const agent = await startTestAgent()
    const missed = warnings(agent).filter((line) => line.startsWith('not enforced on this node: '))
    assert.ok(
      missed.some((line) => line.includes('memory_mb') && line.includes(`(${memory})`)),
      missed.join('\n'),
    )
    assert.ok(
      missed.some((line) => line.includes('cpu_millicores') && line.includes(`(${cpu})`)),
      missed.join('\n'),
    )
    const calls = new Calls(agent.client)
    await calls.script('limited', 'echo limited', LIMITS)
    assert.equal((await calls.execute({ function_name: 'limited' })).output.toString(), 'limited\n')
    assert.equal((await calls.ended(await calls.start('limited'))).output, 'limited\n')
    await agent.stop()
  })

  it('a stored function with limits is not taken on once isolation is required, and is again once it is not', async () => {
    const lenient = await startTestAgent()
    const { dir } = lenient
    const before = new Calls(lenient.client)
    await before.script('limited', 'echo limited', LIMITS)
    await before.script('free', 'echo free')
    await lenient.stop()

    const strict = await startTestAgent({ dir, config: { isolation: 'required' } })
    const calls = new Calls(strict.client)
    assert.ok(
      warnings(strict).some((line) =>
        line.startsWith('function limited not registered: memory_mb 64 cannot be enforced'),
      ),
      strict.logs(),
    )
    assert.equal((await calls.execute({ function_name: 'limited' })).error, 'function not found')
    assert.equal((await calls.execute({ function_name: 'free' })).output.toString(), 'free\n')
    await strict.stop()

    const again = await startTestAgent({ dir })
    const { output } = await new Calls(again.client).execute({ function_name: 'limited' })
    assert.equal(output.toString(), 'limited\n')
    await again.stop()
  })
})

describe('max_processes: 0', () => {
  it('is no limit, so that nothing is said of it', async () => {
    const agent = await startTestAgent({ config: { max_processes: 0 } })
    assert.equal(agent.logs().includes('max_processes'), false)
    await agent.stop()
  })
})
