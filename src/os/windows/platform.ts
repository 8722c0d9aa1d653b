import { tmpdir, userInfo } from 'node:os'
import { pidUsage } from '../pidusage.js'
import type { Platform } from '../platform.js'
import { ChildProcessStarter, killGroup } from './process-starter.js'

const NO_LIMITS = 'Windows has no limits that the agent could set'
const UNKEPT = { memory: NO_LIMITS, cpu: NO_LIMITS, processes: NO_LIMITS }

export const windows: Platform = {
  isolate: async ({ scratchDir }) => ({ starter: { kind: 'child_process', scratchDir }, unkept: UNKEPT }),
  inspectIsolation: () => ({ unkept: UNKEPT }),
  release: () => {},
  takeServiceNotifier: () => undefined,
  createStarter: () => new ChildProcessStarter(),
  // Priorities are the whole process's there, and what it starts inherits them.
  renice: () => {},
  killGroup,
  processBirth(pid) {
    try {
      process.kill(pid, 0)
      return 'alive'
    } catch {
      return undefined
    }
  },
  usage: pidUsage,
  findUser: () => undefined,
  canSwitchUser: () => false,
  createUserHint: (name) => `run_as: self (functions cannot run as ${name} on Windows)`,
  baseEnvironment() {
    const { username, homedir } = userInfo()
    const systemRoot = process.env['SystemRoot'] ?? 'C:\\Windows'
    return {
      PATH: `${systemRoot}\\System32;${systemRoot};${systemRoot}\\System32\\WindowsPowerShell\\v1.0`,
      HOME: homedir,
      USER: username,
      LOGNAME: username,
      LANG: 'C.UTF-8',
      TZ: Intl.DateTimeFormat().resolvedOptions().timeZone,
      TMPDIR: tmpdir(),
      // Without these, sockets and most runtimes do not start there.
      SystemRoot: systemRoot,
      TEMP: tmpdir(),
      TMP: tmpdir(),
    }
  },
}
