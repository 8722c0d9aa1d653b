// Has V8 write down what it compiles of the bundles while an agent starts and runs a function, for src/load-bundle.ts.
//   node scripts/code-cache.mjs FOLDER NODE [OPTION...]    where to write it, and the Node that will read it
// V8 reads it only where it runs with the same options.
import { readdirSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { startTestAgent } from '../dist/harness/agent.js'
import { Calls } from '../dist/harness/calls.js'
import { eventually } from '../dist/harness/eventually.js'

/** Sync and async ones. */
const EXECUTIONS = 50

const [folder, node, ...options] = process.argv.slice(2)
const recorder = join(import.meta.dirname, 'record-code.cjs')
const agent = await startTestAgent({
  env: { NODE_OPTIONS: `--require "${recorder}"`, CODE_CACHE: resolve(folder) },
  // The command line it is given begins with this process's Node.
  through: ['sh', '-c', `shift; exec "$0" ${options.join(' ')} "$@"`, node],
})
try {
  const calls = new Calls(agent.client)
  await calls.script('example', 'echo "$1"')
  for (let i = 0; i < EXECUTIONS; i++) {
    await calls.execute({ function_name: 'example', args: ['hello'] })
    await calls.ended(await calls.start('example', ['hello']))
  }
  process.kill(agent.pid, 'SIGWINCH')
  await eventually('the code of three threads', () => caches().length === 3)
} finally {
  await agent.stop()
}

function caches() {
  return readdirSync(folder).filter((file) => file.endsWith('.cache'))
}
