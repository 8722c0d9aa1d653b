import assert from 'node:assert/strict'
import { once } from 'node:events'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { makeTempDir, startTestAgent, type TestAgent } from '../../harness/agent.js'
import { eventually } from '../../harness/eventually.js'
import { isRunning } from '../../harness/processes.js'
import { type RunningCli, runCli, startCli } from '../support/cli.js'
import { makeTool } from './tool.js'

let agent: TestAgent
let env: NodeJS.ProcessEnv
let dir: string

before(async () => {
  agent = await startTestAgent()
  env = { FLUX_AGENT_ADDRESS: `127.0.0.1:${agent.port}` }
  dir = makeTempDir('flux-agent-exec-')
  const { code, stderr } = await runCli(['deploy', 'tool', makeTool()], { env })
  assert.equal(code, 0, stderr)
  await runCli(['deploy', 'single', makeTool(), '--max-concurrency', '1'], { env })
  await runCli(['deploy', 'brief', makeTool(), '--timeout', '1'], { env })
})
after(() => agent.stop())

const run = (...args: string[]) => runCli(['exec', ...args], { env })

/** stdout of a running command, as far as it has come. */
function readOutput({ process: child }: RunningCli): () => string {
  let output = ''
  child.stdout?.on('data', (chunk: Buffer) => {
    output += chunk
  })
  return () => output
}

test('arguments after the name reach the function as they are', async () => {
  const args = ['--async', '-x', '--', '', 'two words', '--help', 'ü']
  const { code, stdout, stderr } = await run('tool', 'args', ...args)
  assert.equal(code, 0, stderr)
  assert.equal(stdout.toString(), args.map((arg) => `[${arg}]\n`).join(''))
})

test('one -- before the arguments is left out, and an option behind the name is the function’s, as is said', async () => {
  const separated = await run('tool', '--', 'args', '--', '--json')
  assert.deepEqual([separated.stdout.toString(), separated.stderr], ['[--]\n[--json]\n', ''])
  const doubtful = await run('tool', '--async')
  assert.match(doubtful.stderr, /^flux-agent: --async goes to the function; [^\n]*\n/)
  assert.equal((await run('tool', 'args', '--async')).stderr, '')
})

test('the exit code is the function’s, without a word', async () => {
  assert.deepEqual(await run('tool', 'exit', '7'), { code: 7, signal: null, stdout: Buffer.alloc(0), stderr: '' })
})

test('ended by a signal it ends as a shell would', async () => {
  const { code, stderr } = await run('tool', 'die', 'SEGV')
  assert.equal(code, 139)
  assert.match(stderr, /^flux-agent: [^\n]*SIGSEGV[^\n]*\n$/)
})

test('a timeout ends with 124', async () => {
  const { code, stderr } = await run('brief', 'forever')
  assert.equal(code, 124)
  assert.equal(stderr, 'flux-agent: execution timed out after 1s\n')
})

test('what does not run ends with 125 and the reason', async (t) => {
  await t.test('an unknown function', async () => {
    const { code, stderr } = await run('nobody')
    assert.equal(code, 125)
    assert.match(stderr, /^flux-agent: function not found[^\n]*\n$/)
  })
  await t.test('no slot', async () => {
    const id = 'holds-the-slot'
    const first = startCli(['exec', '--id', id, 'single', 'say-and-await', 'started', join(dir, 'never')], { env })
    const output = readOutput(first)
    await eventually('the first one runs', () => output() === 'started', 30)
    const { code, stderr } = await run('single', 'exit', '0')
    assert.equal(code, 125)
    assert.match(stderr, /at capacity/)
    await runCli(['cancel', id], { env })
    assert.equal((await first.result).code, 130)
  })
})

test('output comes while the function runs', async () => {
  const gate = join(dir, 'gate')
  const running = startCli(['exec', 'tool', 'say-and-await', 'begin ', gate], { env })
  const output = readOutput(running)
  await eventually('the first output', () => output() === 'begin ', 30)
  writeFileSync(gate, '')
  const { code, stdout } = await running.result
  assert.equal(code, 0)
  assert.equal(stdout.toString(), 'begin end\n')
})

test('large binary output arrives whole, also where its reader is slow', async () => {
  const copy = join(dir, 'copy')
  const running = startCli(['exec', 'tool', 'random', '20000000', copy], { env })
  running.process.stdout?.pause()
  await eventually(
    'output waits to be read',
    () => (running.process.stdout?.readableLength ?? 0) > 0 || existsSync(copy),
    30,
  )
  await delay(500)
  running.process.stdout?.resume()
  const { code, stdout } = await running.result
  assert.equal(code, 0)
  assert.ok(stdout.equals(readFileSync(copy)))
})

test('a reader that goes away ends it quietly, and the function with it', async () => {
  const running = startCli(['exec', '--id', 'unread', 'tool', 'random', '30000000', join(dir, 'unread')], { env })
  const { stdout } = running.process
  assert.ok(stdout)
  const unread = assert.rejects(running.result)
  await once(stdout, 'readable')
  stdout.destroy()
  const [code] = await once(running.process, 'exit')
  assert.equal(code, 141)
  await unread
  await eventually('the function is over', async () => !(await runCli(['ps'], { env })).stdout.includes('unread'))
})

test('Ctrl-C cancels the function and every process of it', async () => {
  const running = startCli(['exec', 'tool', 'forever'], { env })
  const output = readOutput(running)
  const pids = (await eventually('its pids', () => /^(\d+) (\d+)\n$/.exec(output()), 30)).slice(1).map(Number)
  assert.ok(pids.every(isRunning))
  running.process.kill('SIGINT')
  assert.equal((await running.result).code, 130)
  await eventually('both processes are gone', () => !pids.some(isRunning))
})

test('--async prints the id and returns while the function runs on', async () => {
  const gate = join(dir, 'async-gate')
  const { code, stdout } = await run('--async', 'tool', 'say-and-await', 'begin ', gate)
  assert.equal(code, 0)
  assert.match(stdout.toString(), /^[\da-f-]{36}\n$/)
  const id = stdout.toString().trim()
  assert.ok((await runCli(['ps'], { env })).stdout.includes(id))
  writeFileSync(gate, '')
  assert.equal((await runCli(['logs', '--follow', id], { env })).stdout.toString(), 'begin end\n')
})

test('--async --json prints the id for a script', async () => {
  const { stdout } = await run('--async', '--json', '--id', 'chosen', 'tool', 'exit', '0')
  assert.deepEqual(JSON.parse(stdout.toString()), { execution_id: 'chosen' })
})

test('--async --follow prints the id to stderr, the output to stdout, and ends as the function does', async () => {
  const good = await run('--async', '--follow', '--id', 'followed', 'tool', 'args', 'x')
  assert.deepEqual([good.code, good.stdout.toString(), good.stderr], [0, '[x]\n', 'followed\n'])
  assert.equal((await run('--async', '--follow', 'tool', 'exit', '9')).code, 9)
})

test('Ctrl-C cancels what --async --follow follows', async () => {
  const running = startCli(['exec', '--async', '--follow', 'tool', 'forever'], { env })
  const output = readOutput(running)
  const pids = (await eventually('its pids', () => /^(\d+) (\d+)\n$/.exec(output()), 30)).slice(1).map(Number)
  running.process.kill('SIGINT')
  assert.equal((await running.result).code, 130)
  await eventually('both processes are gone', () => !pids.some(isRunning))
})
