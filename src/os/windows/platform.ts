import { rmSync } from 'node:fs'
import { freemem, totalmem } from 'node:os'
import { pidUsage } from '../pidusage.js'
import type { Platform } from '../platform.js'
import { handlerProblem } from './command.js'
import { baseEnvironment } from './environment.js'
import { ChildProcessStarter, killGroup } from './process-starter.js'
import { processStartTime } from './start-time.js'
import { onStopRequest, requestStop } from './stop-request.js'

const NO_LIMITS = 'Windows has no limits that the agent could set'
const UNENFORCED = { memory: NO_LIMITS, cpu: NO_LIMITS, processes: NO_LIMITS }
const NOTHING_KEPT = { launchers: [], problems: [] }

export const windows: Platform = {
  isolate: async ({ scratchDir }) => {
    rmSync(scratchDir, { recursive: true, force: true })
    return { starter: { kind: 'child_process', scratchDir }, kept: NOTHING_KEPT, unenforced: UNENFORCED }
  },
  inspectIsolation: () => ({ unenforced: UNENFORCED }),
  keptLaunchers: async () => NOTHING_KEPT,
  release: () => {},
  firewall: () => undefined,
  takeServiceNotifier: () => undefined,
  onStopRequest,
  // SIGHUP on Windows means that the console is closing.
  onReloadRequest: () => {},
  requestStop,
  onHandoverRequest: () => {},
  requestHandover: () => Promise.reject(new Error('on Windows executions end with their agent; use stop')),
  handlerProblem,
  programProblem: async () => undefined,
  // CreateProcessW, SetEnvironmentVariableW: 32,767 including the NUL.
  strings: {
    longest: 32_766,
    together: Number.POSITIVE_INFINITY,
    unit: 'characters',
    sizeOf: ({ length }) => length,
  },
  createStarter: () => new ChildProcessStarter(),
  // Windows has only process priorities, which functions would inherit.
  renice: () => {},
  killGroup,
  processStartTime,
  nodeResources: () => () => ({ totalBytes: totalmem(), availableBytes: freemem() }),
  portHolder: () => undefined,
  usage: pidUsage,
  executionsUse: async () => undefined,
  findUser: () => undefined,
  canSwitchUser: () => false,
  createUserHint: (name) => `run_as: self (functions cannot run as ${name} on Windows)`,
  baseEnvironment,
}
