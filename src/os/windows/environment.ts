import { tmpdir, userInfo } from 'node:os'
import { SYSTEM_ROOT, systemProgram } from './system.js'

/** Variables of the machine and user that Windows sets: sockets, runtimes and installed programs need them. */
const INHERITED = [
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

/** The variables that every function gets, before its own. */
export function baseEnvironment(): Record<string, string> {
  const { username, homedir } = userInfo()
  const inherited = INHERITED.flatMap((name) => {
    const value = process.env[name]
    return value === undefined ? [] : [[name, value]]
  })
  return {
    ...Object.fromEntries(inherited),
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
