import { lstatSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

/** Not on the disk, or kept by others about everything that happens. */
const ELSEWHERE = new Set(['/dev', '/mnt', '/proc', '/run', '/sys', '/tmp', '/var/log', '/var/tmp', '/var/lib/systemd'])

/** dpkg and passwd keep the state before the last change; the dynamic linker's and the lock's files have no contents of ours. */
const BACKUPS =
  /^\/var\/lib\/dpkg\/[\w-]+-old$|^\/etc\/(passwd|group|shadow|gshadow|subuid|subgid)-$|^\/etc\/\.pwd\.lock$/

/** What a package that is gone must leave as it was. */
export interface WholeSystem {
  readonly files: readonly string[]
  readonly users: string
  readonly groups: string
}

export function wholeSystem(): WholeSystem {
  const files = filesBelow('/').filter((file) => !BACKUPS.test(file))
  return { files, users: readFileSync('/etc/passwd', 'utf8'), groups: readFileSync('/etc/group', 'utf8') }
}

/** Files and folders by path, sorted. */
function filesBelow(folder: string): string[] {
  return readdirSync(folder)
    .sort()
    .flatMap((name) => {
      const path = join(folder, name)
      if (ELSEWHERE.has(path)) return []
      return lstatSync(path).isDirectory() ? [path, ...filesBelow(path)] : [path]
    })
}
