import { closeSync, fsyncSync, openSync, readFileSync, renameSync, rmSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import * as z from 'zod'
import type { AgentConfig } from '../config/config.js'
import { atPath } from '../os/system-failure.js'
import { VERSION } from '../version.js'
import { StartRefused } from './start-refused.js'

/** The format of the state folder and the apps folder. Raise it with any change that earlier versions would misread. */
const FORMAT = 1
const FILE = 'format.json'
const ROOM_BYTES = 256 * 1024

const stateFormat = z.object({ format: z.number().int().min(1), version: z.string() })
type StateFormat = z.infer<typeof stateFormat>

/**
 * Refuses a state folder that a newer version has left in an unknown format; otherwise marks it with this version. Call
 * with the lock held, before anything is changed there. Throws StartRefused. Blocks; at the start.
 */
export function claimStateFormat({ stateDir, file: config }: Pick<AgentConfig, 'stateDir' | 'file'>): void {
  const file = join(stateDir, FILE)
  const subject = `${config ?? 'configuration'}: state_dir: ${stateDir}`
  const found = readFormat(file, subject)
  if (found && found.format > FORMAT) {
    throw new StartRefused(
      `${subject} has format ${found.format}, which flux-agent ${found.version} has written, and version ${VERSION} ` +
        `knows none above ${FORMAT}; install ${found.version} or later, or give another state_dir`,
    )
  }
  if (found?.format !== FORMAT || found.version !== VERSION) writeFormat(file, { format: FORMAT, version: VERSION })
}

/** Whether a folder is an agent's state folder. */
export function isStateFolder(path: string): boolean {
  try {
    return stateFormat.safeParse(JSON.parse(readFileSync(join(path, FILE), 'utf8'))).success
  } catch {
    return false
  }
}

/** Undefined where there is no file: early versions wrote none, and had format 1. */
function readFormat(file: string, subject: string): StateFormat | undefined {
  let text: string
  try {
    text = readFileSync(file, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
  try {
    return stateFormat.parse(JSON.parse(text))
  } catch {
    throw new StartRefused(
      `${subject}: its ${FILE} does not say which format it has; remove that file if no newer version has run here, ` +
        'or give another state_dir',
    )
  }
}

/** Atomically, also across a power cut. */
function writeFormat(file: string, format: StateFormat): void {
  const unfinished = `${file}.new`
  writeThrough(unfinished, Buffer.from(`${JSON.stringify(format)}\n`))
  renameSync(unfinished, file)
}

/**
 * Writes a file to the folder and removes it: a full disk, a quota or another user's folder refuses the start before
 * the store meets it. Throws the system's error, with the path. Blocks for a millisecond.
 */
export function tryStateDir(stateDir: string): void {
  const file = join(stateDir, `room-${process.pid}`)
  try {
    writeThrough(file, Buffer.alloc(ROOM_BYTES))
  } finally {
    rmSync(file, { force: true })
  }
}

function writeThrough(file: string, contents: Buffer): void {
  atPath(file, () => {
    const fd = openSync(file, 'w', 0o600)
    try {
      for (let written = 0; written < contents.length; ) written += writeSync(fd, contents, written)
      fsyncSync(fd)
    } finally {
      closeSync(fd)
    }
  })
}
