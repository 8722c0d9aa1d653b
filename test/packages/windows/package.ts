import { createWriteStream, mkdirSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { openPromise } from 'yauzl'
import { VERSION } from '../../../src/version.js'

/** The path of the zip that was built before the tests. */
export const ZIP = resolve('dist', `flux-agent-${VERSION}-win-x64.zip`)

/** Unpacks the zip into a folder, as the Explorer does. */
export async function unpackZip(folder: string): Promise<void> {
  const zip = await openPromise(ZIP)
  for await (const entry of zip.eachEntry()) {
    const path = join(folder, entry.fileName)
    mkdirSync(dirname(path), { recursive: true })
    await pipeline(await zip.openReadStreamPromise(entry), createWriteStream(path))
  }
}
