import { closeSync, fstatSync, openSync, readSync } from 'node:fs'
import { dirname, join, sep } from 'node:path'
import { platform } from '../../os/index.js'

const HEAD_BYTES = 4096
/** As much of a first line as the kernel reads (execve(2)), with an absolute interpreter, and nothing else below cwd. */
const FIRST_LINE = /^#![ \t]*\/[^\s/]*(?:\/[^\s/]+)*(?:[ \t][^/\r\n]*)?\n/
const LINE_BYTES = 255
/** Thousands of functions that are deployed in a row mostly have one interpreter. */
const FRESH_MS = 1_000
const MOST_KNOWN = 64

/** When the finding that nothing is wrong with such a program expires, by `performance.now`. */
const fine = new Map<string, number>()

/**
 * Why the handler of a version cannot be started, with paths relative to the version's folder. A program that begins as
 * one does that was found fine within the last second is not looked at again: each look takes dozens of turns of
 * libuv's threads. Deploy thread only.
 */
export async function programWarnings(versionDir: string, handler: string): Promise<string[]> {
  const file = join(versionDir, handler)
  const like = likeness(file, dirname(dirname(dirname(versionDir))))
  if (like !== undefined && (fine.get(like) ?? 0) > performance.now()) return []
  const problem = await platform.programProblem(file)
  if (problem !== undefined) return [problem.replaceAll(`${versionDir}${sep}`, '')]
  if (like !== undefined) {
    if (fine.size >= MOST_KNOWN) fine.clear()
    fine.set(like, performance.now() + FRESH_MS)
  }
  return []
}

/**
 * Equal for programs in one folder of apps of which the same is wrong, or nothing; undefined where that depends on more
 * than the start and the size of the file.
 */
function likeness(file: string, appsDir: string): string | undefined {
  try {
    const fd = openSync(file, 'r')
    try {
      const head = Buffer.alloc(HEAD_BYTES)
      const start = head.toString('latin1', 0, readSync(fd, head, 0, HEAD_BYTES, 0))
      if (!start.startsWith('#!')) return `${appsDir}\0${fstatSync(fd).size}\0${start}`
      const line = FIRST_LINE.exec(start.slice(0, LINE_BYTES))?.[0]
      return line && `${appsDir}\0${line}`
    } finally {
      closeSync(fd)
    }
  } catch {
    return undefined
  }
}
