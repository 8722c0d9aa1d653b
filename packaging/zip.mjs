// Builds the zip for Windows, reproducibly from a commit.
import { createWriteStream, readFileSync, rmSync } from 'node:fs'
import { join, relative, sep } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { ZipFile } from 'yazl'
import { NODE_OPTIONS, runtimeFolder } from '../scripts/runtime.mjs'
import { files } from '../scripts/stamps.mjs'
import { stageProgram } from './program.mjs'
import { RELEASE_TIME, VERSION } from './release.mjs'
import { filled } from './template.mjs'

const SOURCES = join(import.meta.dirname, 'windows')
const TARGET = { os: 'win32', cpu: 'x64' }

/** Contains one folder: node.exe, the program below `app`, the command, and a configuration. Needs a complete build. */
export async function buildZip(folder) {
  const app = join(folder, 'zip-win-x64')
  const top = `flux-agent-${VERSION}`
  stageProgram(TARGET, app)
  const runtime = runtimeFolder(TARGET)
  const entries = [
    ...files(app, '').map((file) => [`app/${relative(app, file).split(sep).join('/')}`, readFileSync(file)]),
    ['node.exe', readFileSync(join(runtime, 'bin', 'node.exe'))],
    ['LICENSE.node.txt', readFileSync(join(runtimeFolder({ os: 'linux', cpu: 'x64' }), 'LICENSE'))],
    ['agent.yaml.example', windowsText('example.agent.yaml')],
    ...files(SOURCES, '').map((file) => [relative(SOURCES, file), windowsText(file)]),
  ]
  const zip = new ZipFile()
  // Zip dates have no zone; UTC is written.
  const mtime = new Date(RELEASE_TIME * 1000 + new Date(RELEASE_TIME * 1000).getTimezoneOffset() * 60_000)
  const options = { mtime, mode: 0o100644, forceDosTimestamp: true, compressionLevel: 9 }
  for (const [name, bytes] of entries.sort(([a], [b]) => (a < b ? -1 : 1)))
    zip.addBuffer(bytes, `${top}/${name}`, options)
  zip.end()
  await pipeline(zip.outputStream, createWriteStream(join(folder, `${top}-win-x64.zip`)))
  rmSync(app, { recursive: true })
}

/** With CRLF, for cmd.exe and older editors. */
function windowsText(file) {
  const text = filled(readFileSync(file, 'utf8'), { NODE_OPTIONS: NODE_OPTIONS.join(' ') })
  return Buffer.from(text.replace(/\r?\n/g, '\r\n'))
}
