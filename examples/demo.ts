import { randomUUID } from 'node:crypto'
import { fileURLToPath } from 'node:url'
import { startTestAgent, type TestAgent } from '../harness/agent.js'
import { eventually } from '../harness/eventually.js'
import { isRunning } from '../harness/processes.js'
import { answer } from '../src/cli/connection.js'
import { readCode } from '../src/cli/deploy/archive.js'
import type { CancelExecutionResponse__Output } from '../src/generated/flux/CancelExecutionResponse.js'
import type { DeploymentAck__Output } from '../src/generated/flux/DeploymentAck.js'
import type { ExecutionResponse__Output } from '../src/generated/flux/ExecutionResponse.js'
import type { ExecutionRecord } from '../src/store/record.js'

// What the agent is for, seen from a client: starts a real one, and shows each thing with the time it took.

const began = performance.now()

try {
  const agent = await step('Starting an agent with its embedded store', startTestAgent)
  say(`pid ${agent.pid}, port ${agent.port}, everything it keeps below ${agent.dir}`)
  try {
    await show(agent)
  } finally {
    await step('Stopping the agent', agent.stop)
  }
  console.log(`\nAll as expected, in ${((performance.now() - began) / 1000).toFixed(1)} s.`)
} catch (error) {
  console.error(`\nNOT as expected: ${(error as Error).message}`)
  process.exitCode = 1
}

async function show(agent: TestAgent): Promise<void> {
  for (const name of ['hello', 'countdown', 'family'])
    await step(`Deploying examples/${name}`, () => deploy(agent, name))

  const hello = await step('Running "hello" and waiting for its answer', () =>
    execute(agent, 'hello', ['newcomer'], false),
  )
  say(hello.output.toString().trimEnd())
  expect(hello.output.toString().startsWith('Hello, newcomer!'), 'hello greets')

  const countdown = randomUUID()
  await step('Starting "countdown" without waiting', () => execute(agent, 'countdown', ['4'], true, countdown))
  const { output, record } = await step('Following its output as it comes', () => follow(agent, countdown))
  expect(record.status === 'success' && output.endsWith('lift-off\n'), 'countdown ends well')

  await showCancel(agent)
}

async function showCancel(agent: TestAgent): Promise<void> {
  const id = randomUUID()
  await step('Starting "family", which starts two processes and waits ten minutes', () =>
    execute(agent, 'family', [], true, id),
  )
  const pids = await pidsOf(agent, id)
  say(`it and its children are processes ${pids.join(', ')}`)
  expect(pids.length === 3 && pids.every(isRunning), 'all three run')
  await step('Cancelling it', async () => {
    const { success, message } = await answer<CancelExecutionResponse__Output>((call, done) =>
      agent.client.CancelExecution({ execution_id: id }, call, done),
    )
    expect(success, `cancel: ${message}`)
  })
  await step('Looking for the three processes', () => eventually('all three are dead', () => !pids.some(isRunning), 5))
  for (const pid of pids) say(`process ${pid} is ${isRunning(pid) ? 'STILL THERE' : 'gone'}`)
}

async function deploy(agent: TestAgent, name: string): Promise<void> {
  const folder = fileURLToPath(new URL(`../../examples/${name}`, import.meta.url))
  const { zip } = await readCode(folder, () => {})
  const { success, message } = await answer<DeploymentAck__Output>((call, done) =>
    agent.client.DeployFunction(
      { function_name: name, code_archive: zip, config: { name, handler: 'main.sh' } },
      call,
      done,
    ),
  )
  expect(success, `deploy of ${name}: ${message}`)
}

async function execute(agent: TestAgent, name: string, args: string[], async: boolean, id = randomUUID()) {
  const request = { function_name: name, args, execution_id: id, async }
  const response = await answer<ExecutionResponse__Output>((call, done) =>
    agent.client.ExecuteFunction(request, call, done),
  )
  expect(response.error === '', `${name}: ${response.error}`)
  return response
}

async function follow(agent: TestAgent, id: string): Promise<{ output: string; record: ExecutionRecord }> {
  const from = performance.now()
  let output = ''
  for await (const { chunk, record } of agent.operations.FollowOutput({ execution_id: id })) {
    if (record) return { output, record: JSON.parse(record.toString()) }
    const text = chunk?.data.toString() ?? ''
    output += text
    say(`after ${Math.round(performance.now() - from)} ms: ${text.trimEnd().split('\n').join(', ')}`)
  }
  throw new Error('its output ended without a record')
}

/** The pids that `family` prints in its one line. */
async function pidsOf(agent: TestAgent, id: string): Promise<number[]> {
  const call = agent.operations.FollowOutput({ execution_id: id })
  call.on('error', () => {})
  let output = ''
  try {
    for await (const { chunk } of call) {
      output += chunk?.data.toString() ?? ''
      if (output.includes('\n')) break
    }
  } finally {
    call.cancel()
  }
  return output.trimEnd().split(' ').map(Number)
}

async function step<T>(title: string, act: () => Promise<T>): Promise<T> {
  const from = performance.now()
  console.log(`\n${title}`)
  const result = await act()
  say(`took ${Math.round(performance.now() - from)} ms`)
  return result
}

function say(text: string): void {
  console.log(`    ${text}`)
}

function expect(condition: boolean, what: string): void {
  if (!condition) throw new Error(what)
}
