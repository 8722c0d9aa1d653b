// Builds and starts an agent, and does both again when a source changes.
//   node scripts/dev.mjs [option of flux-agent start …]
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readdirSync, statSync, watch } from 'node:fs'
import { join, resolve } from 'node:path'

const WATCHED = ['src', 'native', 'proto']
const GENERATED = join('src', 'generated')
/** An editor, or a checkout, changes several files at once. */
const SETTLED_MS = 200
const HURRY_MS = 200

process.chdir(resolve(import.meta.dirname, '..'))
const options = process.argv.slice(2)
const watched = new Set()
let agent
let working = false
let changedMeanwhile = false
let timer

for (const folder of WATCHED.filter(existsSync)) watchFolder(folder)
for (const signal of ['SIGINT', 'SIGTERM']) {
  process.on(signal, async () => {
    await stop()
    process.exit(0)
  })
}
await renew()

/**
 * Each folder by itself: on Linux, fs.watch with `recursive` does not see a file again once another was renamed over it
 * (Node 20), which is how many editors save.
 */
function watchFolder(folder) {
  if (watched.has(folder) || folder === GENERATED) return
  watched.add(folder)
  const watcher = watch(folder, (_event, name) => {
    if (name && isFolder(join(folder, name))) watchFolder(join(folder, name))
    if (!/\.(ts|c|h|proto)$/.test(name ?? '')) return
    clearTimeout(timer)
    timer = setTimeout(() => void renew(), SETTLED_MS)
  })
  watcher.on('error', () => watched.delete(folder))
  for (const entry of readdirSync(folder)) if (isFolder(join(folder, entry))) watchFolder(join(folder, entry))
}

function isFolder(path) {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false
}

/** One build at a time; changes during it are built afterwards. */
async function renew() {
  changedMeanwhile = working
  if (working) return
  working = true
  do {
    changedMeanwhile = false
    if (build()) {
      await stop()
      start()
    } else console.log(agent ? 'not built: the agent goes on as it was' : 'not built: waiting for a change')
  } while (changedMeanwhile)
  working = false
}

function build() {
  return spawnSync(process.execPath, ['scripts/build.mjs'], { stdio: 'inherit' }).status === 0
}

function start() {
  const started = spawn(process.execPath, ['--enable-source-maps', 'dist/src/cli/index.js', 'start', ...options], {
    stdio: 'inherit',
  })
  agent = started
  started.once('exit', () => {
    if (agent !== started) return
    agent = undefined
    console.log('the agent has ended: waiting for a change')
  })
}

/** The second signal ends what still runs; sent at once, both would merge into one. */
async function stop() {
  const stopped = agent
  agent = undefined
  if (!stopped) return
  const ended = once(stopped, 'exit')
  stopped.kill('SIGTERM')
  const hurry = setInterval(() => stopped.kill('SIGTERM'), HURRY_MS)
  await ended
  clearInterval(hurry)
}
