import { createCipheriv, createHash } from 'node:crypto'
import { buildZip, PROGRAM } from '../../harness/zip.js'

/** Prints the hash of all files, which differs for other versions and damaged files. */
const HANDLER = '#!/bin/sh\ncat data/* | sha256sum\n'

export interface Archive {
  readonly zip: Buffer
  /** What the handler `main.sh` prints. */
  readonly output: string
}

/** Files like source code, which pack to about a half; different for each version. */
export function archiveOfMany(files: number, bytesEach: number, version: number): Archive {
  // A hexadecimal digit carries half a byte of noise.
  const text = noise((files * bytesEach) / 2, version).toString('hex')
  const contents = Array.from({ length: files }, (_, i) => Buffer.from(text.slice(i * bytesEach, (i + 1) * bytesEach)))
  return archive(contents, { stored: false })
}

/** One incompressible file, different for each version. */
export function archiveOfOne(bytes: number, version: number): Archive {
  return archive([noise(bytes, version)], { stored: true })
}

function archive(files: readonly Buffer[], { stored }: { stored: boolean }): Archive {
  const digits = String(files.length).length
  const entries = files.map((contents, i) => ({ name: `data/${String(i).padStart(digits, '0')}`, contents, stored }))
  const hash = createHash('sha256')
  for (const contents of files) hash.update(contents)
  return {
    zip: buildZip([{ name: 'main.sh', contents: HANDLER, mode: PROGRAM }, ...entries]),
    output: `${hash.digest('hex')}  -\n`,
  }
}

/** Deterministic for each version. */
function noise(bytes: number, version: number): Buffer {
  const cipher = createCipheriv('aes-128-ctr', Buffer.alloc(16, version), Buffer.alloc(16))
  return cipher.update(Buffer.alloc(bytes))
}
