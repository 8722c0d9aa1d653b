import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { describe, it } from 'node:test'
import { CLI, makeTempDir } from '../../harness/agent.js'
import { eventually } from '../../harness/eventually.js'
import { onExit } from '../../harness/on-exit.js'

const LOG = new URL('../../src/log/log.js', import.meta.url).href
/** What systemd says of the stream that it has made standard error. */
const AS_JOURNAL = 'JOURNAL_STREAM=$(stat -Lc %d:%i /dev/fd/2) exec "$@"'

function run(...args: string[]) {
  const child = spawn('/bin/sh', ['-c', AS_JOURNAL, 'sh', process.execPath, ...args], {
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  onExit(() => child.kill('SIGKILL'))
  return child
}

async function logged(script: string, env: NodeJS.ProcessEnv = {}): Promise<string> {
  const file = join(makeTempDir('flux-journal-'), 'script.mjs')
  writeFileSync(file, `import { createLog } from '${LOG}'\n${script}`)
  const child = env['JOURNAL_STREAM']
    ? spawn(process.execPath, [file], { stdio: ['ignore', 'ignore', 'pipe'], env: { ...process.env, ...env } })
    : run(file)
  return text(child.stderr)
}

describe('the journal', { skip: process.platform !== 'linux' && 'there is none but on Linux' }, () => {
  it('gets the priority, the message and the fields, and not what it knows itself', async () => {
    const levels = ['debug', 'info', 'warn', 'error', 'fatal']
    const script = `const log = createLog('debug', { worker: 3 })\nfor (const level of ${JSON.stringify(levels)}) log[level]({ dir: '/x', n: 1 }, 'told')`
    const line = 'told {"worker":3,"dir":"/x","n":1}'
    assert.equal(await logged(script), [7, 6, 4, 3, 2].map((priority) => `<${priority}>${line}\n`).join(''))
  })

  it('gets every line of a stack with the priority of its error', async () => {
    const lines = (await logged(`createLog('info').error({ err: new Error('a\\nb') }, 'it broke')`)).trim().split('\n')
    assert.match(lines.join('\n'), /^<3>it broke *$/m)
    assert.ok(
      lines.some((line) => /^<3>\s+at .*script\.mjs/.test(line)),
      lines.join('\n'),
    )
    for (const line of lines) assert.match(line, /^<3>/)
  })

  it('gets the same from every thread', async () => {
    const script = `import { isMainThread, Worker } from 'node:worker_threads'
      if (isMainThread) new Worker(new URL(import.meta.url))
      const log = createLog('info')
      if (!isMainThread) log.warn('from a thread')`
    assert.equal(await logged(script), '<4>from a thread\n')
  })

  it('is not taken for a standard error that has been redirected since', async () => {
    const line = await logged(`createLog('info').info('told')`, { JOURNAL_STREAM: '1:1' })
    assert.equal((JSON.parse(line) as { msg: string }).msg, 'told')
  })

  it('gets the life of an agent', async () => {
    const dir = makeTempDir('flux-journal-')
    const file = join(dir, 'agent.yaml')
    const config = { agent_id: 'a', host: '127.0.0.1', port: 0, redis_addr: 'embedded', run_as: 'self', state_dir: dir }
    writeFileSync(file, JSON.stringify(config))
    const agent = run(CLI, 'start', '--config', file)
    let log = ''
    agent.stderr.setEncoding('utf8').on('data', (chunk: string) => {
      log += chunk
    })
    await eventually('it serves', () => /^<6>serving \{.*"port":\d+/m.test(log), 30)
    agent.kill('SIGTERM')
    await once(agent, 'close')
    assert.match(log, /^<6>stopping \{.*"reason":"SIGTERM"/m)
    for (const line of log.trim().split('\n')) assert.match(line, /^<[2-7]>\S/)
  })

  it('gets what is wrong with a configuration, a line a value', async () => {
    const file = join(makeTempDir('flux-journal-'), 'agent.yaml')
    writeFileSync(file, '{ "agent_id": "a", "port": -1, "max_tasks": -1 }')
    const lines = (await text(run(CLI, 'start', '--config', file).stderr)).trim().split('\n')
    assert.equal(lines.length, 2)
    for (const line of lines) assert.match(line, /^<2>flux-agent: .*agent\.yaml: /)
  })
})
