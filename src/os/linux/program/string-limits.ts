import { readFileSync } from 'node:fs'
import type { StringLimits } from '../../platform.js'

/** Type of the page size in the auxiliary vector (getauxval(3)). */
const AT_PAGESZ = 6n
const LEAST_PAGE = 4_096
const PAGES = 32
const MiB = 1024 * 1024
const POINTER_BYTES = 8

/**
 * execve(2), "Limits on size of arguments and environment": one string has at most 32 pages including its NUL; all
 * together a quarter of the stack limit, at least 32 pages and at most 6 MiB.
 */
export const strings: StringLimits = {
  longest: PAGES * pageSize() - 1,
  together: Math.max(PAGES * pageSize(), Math.min(6 * MiB, Math.floor(stackLimit() / 4))),
  unit: 'bytes',
  sizeOf: (text) => Buffer.byteLength(text),
}

/** The size that execve(2) counts: strings, a pointer to each, and the program's path (fs/exec.c). */
export function chargedBytes(file: string, args: readonly string[], env: Readonly<Record<string, string>>): number {
  const texts = [file, ...args, ...Object.entries(env).map(([name, value]) => `${name}=${value}`)]
  const bytes = texts.reduce((sum, text) => sum + Buffer.byteLength(text) + 1 + POINTER_BYTES, 0)
  return bytes + Buffer.byteLength(file) + 1
}

function pageSize(): number {
  const vector = read('/proc/self/auxv') ?? Buffer.alloc(0)
  for (let at = 0; at + 16 <= vector.length; at += 16) {
    if (vector.readBigUInt64LE(at) === AT_PAGESZ) return Number(vector.readBigUInt64LE(at + 8))
  }
  return LEAST_PAGE
}

/** This process's stack limit, which its children inherit, bytes. */
function stackLimit(): number {
  const soft = /^Max stack size +(\S+)/m.exec(read('/proc/self/limits')?.toString('latin1') ?? '')?.[1]
  return soft === undefined ? 8 * MiB : soft === 'unlimited' ? Number.POSITIVE_INFINITY : Number(soft)
}

function read(file: string): Buffer | undefined {
  try {
    return readFileSync(file)
  } catch {
    return undefined
  }
}
