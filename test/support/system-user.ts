import { spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { rmSync, statSync } from 'node:fs'
import { onExit } from '../../harness/on-exit.js'

/** Why tests that need a user of their own are skipped; undefined where one can be made. */
export const noUsers: string | undefined =
  process.platform === 'linux' && process.getuid?.() === 0 && spawnSync('useradd', ['--help']).status === 0
    ? undefined
    : 'only root can create a user, by useradd'

export interface SystemUser {
  readonly name: string
  readonly uid: number
  readonly gid: number
  readonly home: string
  /** Deletes the user and its home. */
  remove(): void
}

/** Creates a user as the agent's own hint says; it is gone at the latest when this process is. */
export function createUser(): SystemUser {
  const name = `flux-test-${randomBytes(4).toString('hex')}`
  const home = `/home/${name}`
  run('useradd', '--system', '--create-home', '--home-dir', home, '--shell', '/usr/sbin/nologin', name)
  let there = true
  const remove = () => {
    if (there) run('userdel', name)
    // An agent has made it root's, and userdel removes no folder of another's.
    rmSync(home, { recursive: true, force: true })
    there = false
  }
  onExit(remove)
  return { name, uid: Number(run('id', '-u', name)), gid: Number(run('id', '-g', name)), home, remove }
}

/** What `act` answers in a time in which no test has made or deleted a user: a sandbox may miss the names in between. */
export async function whileUsersStay<T>(act: () => Promise<T>): Promise<T> {
  for (;;) {
    const before = usersFiles()
    const answer = await act()
    if (usersFiles() === before) return answer
  }
}

/** Another each time that one of them is replaced. */
function usersFiles(): string {
  const files = ['/etc/passwd', '/etc/group'].map((file) => statSync(file, { bigint: true }))
  return files.map(({ ino, ctimeNs }) => `${ino} ${ctimeNs}`).join()
}

function run(command: string, ...args: string[]): string {
  const { status, stdout, stderr } = spawnSync(command, args, { encoding: 'utf8' })
  if (status !== 0) throw new Error(`${command} ${args.join(' ')}: ${stderr}`)
  return stdout
}
