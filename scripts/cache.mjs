// Files made once for tests and kept outside the clone, for all runs on this machine.
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'

const CACHE = '/var/cache/flux-agent-tests'

export function cachedPath(name) {
  return join(CACHE, name)
}

/** A digest for names: changes with the script, and is the same in every clone. */
export function recipeOf(script) {
  return createHash('sha256').update(readFileSync(script)).digest('hex').slice(0, 16)
}

/**
 * The path of a cached file or folder. Where it is missing, `make(made, path)` makes it as `made`, which is then moved
 * to `path`; it may use the folder around `made`. Throws what `make` throws.
 */
export function cached(name, make) {
  const path = cachedPath(name)
  if (existsSync(path)) return path
  // Not on stdout, which is for results.
  console.error(`making ${path}`)
  mkdirSync(CACHE, { recursive: true })
  const making = mkdtempSync(join(CACHE, 'making-'))
  const remove = () => rmSync(making, { recursive: true, force: true })
  process.once('exit', remove)
  try {
    make(join(making, 'made'), path)
    keep(join(making, 'made'), path)
  } finally {
    process.off('exit', remove)
    remove()
  }
  return path
}

/** Two runs may make it at once; either result is fine. */
function keep(made, path) {
  try {
    renameSync(made, path)
  } catch (error) {
    // A folder cannot replace another.
    if (!existsSync(path)) throw error
  }
}
