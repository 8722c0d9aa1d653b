import { parentPort, workerData } from 'node:worker_threads'
import { platform } from '../../src/os/index.js'
import type { Limits, ProcessEnd, ProcessStarter, StarterSetup, StartRequest } from '../../src/os/platform.js'
import { holdMemory } from './held-memory.js'

// A worker thread like the agent's, without gRPC, store and records: starts /bin/true repeatedly.

export interface StartWorkerSetup {
  readonly starters: readonly StarterSetup[]
  /** Memory that the thread holds, touched. */
  readonly heapMb: number
}

export interface StartTask {
  readonly kind: StarterSetup['kind']
  readonly durationMs: number
  readonly inFlight: number
  readonly limits?: Limits
  /** Absent: the agent's own user. */
  readonly user?: StartUser
}

export type StartUser = Pick<StartRequest, 'runAs' | 'sandbox'>

export interface StartRate {
  readonly starts: number
  readonly perSecond: number
}

export type StartAnswer =
  | { readonly kind: 'ready' }
  | ({ readonly kind: 'rate' } & StartRate)
  | { readonly kind: 'failed'; readonly error: string }
  | { readonly kind: 'closed' }

const FILE = '/bin/true'

const { starters: setups, heapMb } = workerData as StartWorkerSetup
const port = parentPort
if (!port) throw new Error('this is not a worker thread')
holdMemory(heapMb)
const starters = new Map(setups.map((setup) => [setup.kind, platform.createStarter(setup)]))
const env = platform.baseEnvironment(undefined)

port.on('message', async (task: StartTask | 'close') => {
  if (task !== 'close') {
    tell(await measure(task).catch((error: Error): StartAnswer => ({ kind: 'failed', error: error.message })))
    return
  }
  await Promise.all([...starters.values()].map((starter) => starter.close()))
  tell({ kind: 'closed' })
  port.close()
})
tell({ kind: 'ready' })

async function measure({ kind, durationMs, inFlight, limits, user }: StartTask): Promise<StartAnswer> {
  const starter = starters.get(kind)
  if (!starter) throw new Error(`there is no starter of the kind ${kind}`)
  const begun = performance.now()
  let starts = 0
  const keepStarting = async () => {
    while (performance.now() - begun < durationMs) {
      await startOne(starter, { ...(limits && { limits }), ...user })
      starts++
    }
  }
  await Promise.all(Array.from({ length: inFlight }, keepStarting))
  return { kind: 'rate', starts, perSecond: (starts / (performance.now() - begun)) * 1000 }
}

async function startOne(
  starter: ProcessStarter,
  more: Pick<StartRequest, 'limits' | 'runAs' | 'sandbox'>,
): Promise<void> {
  let ended: (end: ProcessEnd) => void = () => {}
  let outputBytes = 0
  const end = new Promise<ProcessEnd>((resolve) => {
    ended = resolve
  })
  const listener = {
    started: () => {},
    output: (chunk: Buffer) => {
      outputBytes += chunk.length
    },
    ended,
  }
  starter.start({ file: FILE, args: [], cwd: '/', env, ...more }, listener)
  const how = await end
  if (how.kind !== 'exited' || how.code !== 0 || outputBytes !== 0)
    throw new Error(`${FILE} ended otherwise than it does: ${JSON.stringify(how)}, ${outputBytes} bytes of output`)
}

function tell(answer: StartAnswer): void {
  port?.postMessage(answer)
}
