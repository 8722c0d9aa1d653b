import { closeSync, openSync, readdirSync, readFileSync, readlinkSync, readSync } from 'node:fs'

/** Resources of processes, read from /proc; Linux only. */

/** Room for an environment; nothing is put into the part of it that none needs. */
const scratch = Buffer.allocUnsafeSlow(8 * 1024 * 1024)

/** A process as `/proc` shows it, zombies included. */
export interface ProcessEntry {
  readonly pid: number
  readonly parent: number
  readonly state: string
  readonly command: string
}

/** All processes of this machine, or container. */
export function allProcesses(): ProcessEntry[] {
  return allPids().flatMap(processEntry)
}

function allPids(): string[] {
  return readdirSync('/proc').filter((name) => /^\d+$/.test(name))
}

/** None of one that is gone. */
function processEntry(pid: string): ProcessEntry[] {
  const stat = readOr(`/proc/${pid}/stat`, '')
  const [state, parent] = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  const command = stat.slice(stat.indexOf('(') + 1, stat.lastIndexOf(')'))
  return state === undefined || parent === undefined
    ? []
    : [{ pid: Number(pid), parent: Number(parent), state, command }]
}

/** Children of this process that it has not reaped, alive or not. */
export function childrenOf(pid: number): ProcessEntry[] {
  return allProcesses().filter(({ parent }) => parent === pid)
}

/** Processes with this value of a variable in their environment. */
export function processesWith(name: string, value: string): ProcessEntry[] {
  const entry = `${name}=${value}`
  return allPids()
    .filter((pid) => readOr(`/proc/${pid}/environ`, '').split('\0').includes(entry))
    .flatMap(processEntry)
}

/** A process's descriptors with their targets, as in `socket:[4711]` or a path. */
export function descriptorTargets(pid: number): [fd: string, target: string][] {
  const dir = `/proc/${pid}/fd`
  return readdirSync(dir).flatMap((fd): [string, string][] => {
    try {
      return [[fd, readlinkSync(`${dir}/${fd}`)]]
    } catch {
      // It has been closed since.
      return []
    }
  })
}

/** The targets of a process's descriptors. */
export function openDescriptors(pid: number): string[] {
  return descriptorTargets(pid).map(([, target]) => target)
}

/** The number of open descriptors by kind: sockets, pipes, epolls, and files by path. */
export function descriptorCounts(pid: number): Record<string, number> {
  const counts: Record<string, number> = {}
  for (const target of openDescriptors(pid).sort()) {
    const kind = target.replace(/:\[\d+\]$/, '')
    counts[kind] = (counts[kind] ?? 0) + 1
  }
  return counts
}

/** TCP ports that this process listens on. */
export function listeningPorts(pid: number): number[] {
  const own = new Set(openDescriptors(pid).flatMap((target) => /^socket:\[(\d+)\]$/.exec(target)?.[1] ?? []))
  return ['tcp', 'tcp6'].flatMap((table) =>
    readOr(`/proc/${pid}/net/${table}`, '')
      .split('\n')
      .slice(1)
      .map((line) => line.trim().split(/\s+/))
      .filter((fields) => fields[3] === '0A' && own.has(fields[9] ?? ''))
      .map((fields) => Number.parseInt(fields[1]?.split(':')[1] ?? '', 16)),
  )
}

/** A process's private memory, without mapped files such as the embedded store's. */
export function ownMemoryMiB(pid: number): number {
  const [, kibibytes] = /^RssAnon:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? []
  return Number(kibibytes) / 1024
}

/** Processor time of a process, hundredths of a second. */
export function cpuTicks(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return Number(fields[11]) + Number(fields[12])
}

// Hundreds of files in one look: readFileSync would make a buffer of 64 KiB for each.
function readOr(file: string, otherwise: string): string {
  let fd: number | undefined
  try {
    fd = openSync(file, 'r')
    let length = 0
    for (let read = -1; read !== 0; length += read) read = readSync(fd, scratch, length, scratch.length - length, null)
    return scratch.toString('latin1', 0, length)
  } catch {
    // It has ended, or belongs to another user.
    return otherwise
  } finally {
    if (fd !== undefined) closeSync(fd)
  }
}
