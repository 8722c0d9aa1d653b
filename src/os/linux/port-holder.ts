import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import type { PortHolder } from '../platform.js'

/** The kernel's number for the state LISTEN (proc_pid_net(5)). */
const LISTEN = '0A'

/** See Platform.portHolder. */
export function portHolder(port: number): PortHolder | undefined {
  const sockets = ['tcp', 'tcp6'].flatMap(socketsOf).filter((socket) => socket.port === port)
  const socket = sockets.find(({ listens }) => listens) ?? sockets[0]
  if (!socket) return undefined
  const process = ownerOf(socket.inode)
  return { listens: socket.listens, ...(process && { process }) }
}

function socketsOf(table: string): { port: number; listens: boolean; inode: string }[] {
  const [, ...rows] = readOr(`/proc/net/${table}`).trim().split('\n')
  return rows.map((row) => {
    const fields = row.trim().split(/\s+/)
    const port = Number.parseInt(fields[1]?.split(':')[1] ?? '', 16)
    return { port, listens: fields[3] === LISTEN, inode: fields[9] ?? '' }
  })
}

/** Root sees every process, other users their own. */
function ownerOf(inode: string): PortHolder['process'] {
  const pid = readdirSync('/proc').find((name) => /^\d+$/.test(name) && holds(name, `socket:[${inode}]`))
  return pid === undefined ? undefined : { pid: Number(pid), command: readOr(`/proc/${pid}/comm`).trim() }
}

function holds(pid: string, target: string): boolean {
  const dir = `/proc/${pid}/fd`
  return namesIn(dir).some((fd) => {
    try {
      return readlinkSync(`${dir}/${fd}`) === target
    } catch {
      // It has been closed since.
      return false
    }
  })
}

/** Empty where the process has ended, or belongs to another user. */
function namesIn(dir: string): string[] {
  try {
    return readdirSync(dir)
  } catch {
    return []
  }
}

function readOr(file: string): string {
  try {
    return readFileSync(file, 'latin1')
  } catch {
    return ''
  }
}
