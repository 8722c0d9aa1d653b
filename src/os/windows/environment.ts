import { tmpdir, userInfo } from 'node:os'
import { SYSTEM_ROOT, systemProgram } from './system.js'

/** Of the machine and its user, as Windows itself sets them: sockets, runtimes and installers' programs look there. */
const KEPT = [
  'ALLUSERSPROFILE',
  'APPDATA',
  'CommonProgramFiles',
  'COMPUTERNAME',
  'LOCALAPPDATA',
  'NUMBER_OF_PROCESSORS',
  'OS',
  'PROCESSOR_ARCHITECTURE',
  'ProgramData',
  'ProgramFiles',
  'ProgramFiles(x86)',
  'PUBLIC',
  'SystemDrive',
]

/** What every function finds in its environment, before its own variables. */
export function baseEnvironment(): Record<string, string> {
  const { username, homedir } = userInfo()
  const kept = KEPT.flatMap((name) => {
    const value = process.env[name]
    return value === undefined ? [] : [[name, value]]
  })
  return {
    ...Object.fromEntries(kept),
    PATH: `${SYSTEM_ROOT}\\System32;${SYSTEM_ROOT};${systemProgram('WindowsPowerShell\\v1.0')}`,
    PATHEXT: '.COM;.EXE;.BAT;.CMD',
    ComSpec: systemProgram('cmd.exe'),
    SystemRoot: SYSTEM_ROOT,
    windir: SYSTEM_ROOT,
    HOME: homedir,
    USERPROFILE: homedir,
    USER: username,
    USERNAME: username,
    LOGNAME: username,
    LANG: 'C.UTF-8',
    TZ: Intl.DateTimeFormat().resolvedOptions().timeZone,
    TMPDIR: tmpdir(),
    TEMP: tmpdir(),
    TMP: tmpdir(),
  }
}
