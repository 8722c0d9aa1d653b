// Builds the packages into dist/: those named, or all.
//   node packaging/build.mjs [amd64 | arm64 | win-x64 …]
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { resolve } from 'node:path'
import { fail } from '../scripts/run.mjs'
import { fetchRuntimes } from '../scripts/runtime.mjs'
import { buildDeb, prepareDeb } from './deb.mjs'
import { buildZip } from './zip.mjs'

const PACKAGES = {
  amd64: { prepare: () => prepareDeb('amd64'), build: () => buildDeb('amd64', 'dist') },
  arm64: { prepare: () => prepareDeb('arm64'), build: () => buildDeb('arm64', 'dist') },
  'win-x64': { prepare: () => {}, build: () => buildZip('dist') },
}

process.chdir(resolve(import.meta.dirname, '..'))
const named = process.argv.slice(2)
const unknown = named.find((name) => !(name in PACKAGES))
if (unknown) fail(`there is no package ${unknown}: give some of ${Object.keys(PACKAGES).join(', ')}`)
const wanted = named.length === 0 ? Object.keys(PACKAGES) : named

// Shared parts are made first; then each package is built in a process of its own, since the work is synchronous.
fetchRuntimes()
for (const name of wanted) PACKAGES[name].prepare()
if (wanted.length === 1) await PACKAGES[wanted[0]].build()
else process.exitCode = Math.max(...(await Promise.all(wanted.map(buildApart))))

async function buildApart(name) {
  const [code] = await once(spawn(process.execPath, [import.meta.filename, name], { stdio: 'inherit' }), 'close')
  return code ?? 1
}
