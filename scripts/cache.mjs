// What the tests need and can be made once: kept outside the clone, for every run on this machine.
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'

const CACHE = '/var/cache/flux-agent-tests'

export function cachedPath(name) {
  return join(CACHE, name)
}

/** For the name of what a script makes: another when the script has changed, and the same in every clone. */
export function recipeOf(script) {
  return createHash('sha256').update(readFileSync(script)).digest('hex').slice(0, 16)
}

/**
 * The path of a file or folder there. Where it is missing, `make(made, path)` makes it as `made`, for the `path` that it
 * has in the end, and may use the folder around `made`. Throws what `make` throws.
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

/** Two runs may make it at once: either is as good. */
function keep(made, path) {
  try {
    renameSync(made, path)
  } catch (error) {
    // A folder does not take the place of another.
    if (!existsSync(path)) throw error
  }
}
