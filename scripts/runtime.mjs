// The Node in packages: npm's packages of it for each system, locked by version and digest.
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { HEAP_OPTION } from './bundle.mjs'
import { run } from './run.mjs'
import { hashOf, readStamp } from './stamps.mjs'

/** Options of that Node, for the agent. Since V8 13.6 buffers have a limit, too, without the second (nodejs/node#61967). */
export const NODE_OPTIONS = [HEAP_OPTION, '--external-memory-accounted-in-global-limit']

const FOLDER = join(import.meta.dirname, '..', 'packaging', 'runtime')

/** Fetches missing packages. */
export function fetchRuntimes() {
  const lock = hashOf([join(FOLDER, 'package-lock.json')])
  const stamp = join(FOLDER, 'node_modules', '.setup-stamp')
  if (readStamp(stamp) === lock) return
  console.log('fetching the Node of packaging/runtime/package-lock.json')
  // With --force, since npm refuses packages for other systems.
  const flags = ['--force', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error']
  run('npm', ['ci', ...flags], { cwd: FOLDER })
  writeFileSync(stamp, lock)
}

/** The folder of that Node's npm package, with `bin` and LICENSE, once fetched. `os` and `cpu` are npm's names. */
export function runtimeFolder({ os, cpu }) {
  return join(FOLDER, 'node_modules', `node-${os === 'win32' ? 'win' : os}-${cpu}`)
}
