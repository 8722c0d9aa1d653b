import { readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { KILL_LIMIT_MS, PROTOCOL_ADOPTED_FROM, PROTOCOL_VERSION } from '../../../generated/native/launcher-protocol.js'
import type { KeptLauncher, KeptLaunchers, KeptProcess } from '../../platform.js'
import {
  type Connection,
  connectTo,
  isDead,
  LOOK_MS,
  launchersAmong,
  socketName,
  TAKEN_LIMIT_MS,
} from './connection.js'
import { leaveFrame, listFrame } from './requests.js'

/** A launcher that does not answer for so long is stopped, or hangs. */
const ANSWER_LIMIT_MS = 10_000
/** It gives up what it cannot kill a little later itself (LEAVE_LIMIT_MS in launcher.c). */
const LEAVE_LIMIT_MS = KILL_LIMIT_MS + 3_000

/** See Platform.keptLaunchers. */
export function keptLaunchers(scratchDir: string): Promise<KeptLaunchers> {
  return inquireAll(scratchDir, 0)
}

/** The same for a start: no other agent can have any of them. */
export function leftLaunchers(scratchDir: string): Promise<KeptLaunchers> {
  return inquireAll(scratchDir, TAKEN_LIMIT_MS)
}

async function inquireAll(scratchDir: string, takenLimitMs: number): Promise<KeptLaunchers> {
  const problems: string[] = []
  const asked = launchersIn(scratchDir).map(async (name) => {
    const deadline = performance.now() + takenLimitMs
    for (;;) {
      const answer = await inquire(name, scratchDir)
      switch (answer.kind) {
        case 'kept':
          return [answer.launcher]
        case 'dead':
          return []
        case 'impossible':
          problems.push(answer.problem)
          return []
        case 'taken':
          if (performance.now() >= deadline) return []
          await sleep(LOOK_MS)
      }
    }
  })
  return { launchers: (await Promise.all(asked)).flat(), problems }
}

/** Names of the launchers that have a socket there, dead or alive. */
export function launchersIn(scratchDir: string): string[] {
  try {
    return launchersAmong(readdirSync(scratchDir))
  } catch {
    return []
  }
}

const isUnderstood = (version = 0) => version >= PROTOCOL_ADOPTED_FROM && version <= PROTOCOL_VERSION

type Answer =
  | { readonly kind: 'kept'; readonly launcher: KeptLauncher }
  | { readonly kind: 'dead' }
  /** Somebody else has its connection. */
  | { readonly kind: 'taken' }
  /** It cannot be taken over, and has been ended. */
  | { readonly kind: 'impossible'; readonly problem: string }

async function inquire(name: string, scratchDir: string): Promise<Answer> {
  const processes: KeptProcess[] = []
  let version: number | undefined
  let connection: Connection | undefined
  const listed = new Promise<void>((resolve) => {
    connection = connectTo(name, scratchDir, {
      ready: (spoken) => {
        version = spoken
        if (isUnderstood(spoken)) connection?.write(listFrame())
        else resolve()
      },
      listed: (process) => processes.push(process),
      listEnd: resolve,
      started: () => {},
      output: () => {},
      ended: () => {},
      failed: () => {},
    })
  })
  const { write, end, closed } = connection as unknown as Connection
  const launcher: KeptLauncher = {
    name,
    processes,
    leave: async () => {
      end()
      await closed
    },
    end: async () => {
      write(leaveFrame())
      await Promise.race([closed, sleep(LEAVE_LIMIT_MS, undefined, { ref: false })])
      end()
      rmSync(join(scratchDir, socketName(name)), { force: true })
    },
  }
  const outcome = await Promise.race([
    listed.then(() => 'listed' as const),
    closed.then((how) => (isDead(how) ? ('dead' as const) : ('taken' as const))),
    sleep(ANSWER_LIMIT_MS, 'silent' as const, { ref: false }),
  ])
  if (outcome === 'listed' && isUnderstood(version)) return { kind: 'kept', launcher }
  if (outcome === 'taken') return { kind: 'taken' }
  if (outcome === 'dead') {
    rmSync(join(scratchDir, socketName(name)), { force: true })
    return { kind: 'dead' }
  }
  await launcher.end()
  const why =
    outcome === 'silent' ? 'it does not answer' : `it speaks version ${version}, this agent ${PROTOCOL_VERSION}`
  const problem = `launcher ${name} of an earlier agent cannot be taken over, and what it ran is ended: ${why}`
  return { kind: 'impossible', problem }
}
