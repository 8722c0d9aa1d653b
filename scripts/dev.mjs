// Builds and starts an agent, and does both again when a source changes.
//   node scripts/dev.mjs [option of flux-agent start …]
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, watch } from 'node:fs'
import { resolve, sep } from 'node:path'

const WATCHED = ['src', 'native', 'proto']
/** An editor, or a checkout, changes several files at once. */
const SETTLED_MS = 200
const HURRY_MS = 200

process.chdir(resolve(import.meta.dirname, '..'))
const options = process.argv.slice(2)
let agent
let working = false
let changedMeanwhile = false
let timer

for (const folder of WATCHED.filter(existsSync)) {
  watch(folder, { recursive: true }, (_event, file) => {
    const isSource = /\.(ts|c|h|proto)$/.test(file ?? '') && !file.startsWith(`generated${sep}`)
    if (!isSource) return
    clearTimeout(timer)
    timer = setTimeout(() => void renew(), SETTLED_MS)
  })
}
for (const signal of ['SIGINT', 'SIGTERM']) {
  process.on(signal, async () => {
    await stop()
    process.exit(0)
  })
}
await renew()

/** One at a time; what changes meanwhile is built afterwards. */
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

/** The second signal ends what still runs; sent at once, it would be one with the first. */
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
