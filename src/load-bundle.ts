import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { basename, dirname } from 'node:path'
import { Script } from 'node:vm'

type Wrapped = (
  exports: object,
  require: NodeJS.Require,
  module: { exports: object },
  file: string,
  dir: string,
) => void

/**
 * Runs a bundle, and answers its exports. What V8 has compiled of it when the program was built is taken from the file
 * beside it (scripts/code-cache.mjs): V8 compiles it again where that is missing, or of another V8. Node's own cache of
 * this kind (module.enableCompileCache) comes with Node 22, and in a folder of each user's. Any thread. Throws what the
 * bundle throws.
 */
export function loadBundle(file: string): unknown {
  // Bundles are ASCII, which takes half the memory and no decoding.
  // In stack traces it has the name it was recorded by, so it is the same wherever the program is.
  const filename = basename(file)
  const script = new Script(readFileSync(file, 'latin1'), { filename, ...codeCache(file) })
  const module = { exports: {} }
  const wrapped = script.runInThisContext() as Wrapped
  wrapped(module.exports, createRequire(file), module, file, dirname(file))
  return module.exports
}

function codeCache(file: string): { readonly cachedData?: Buffer } {
  try {
    return { cachedData: readFileSync(file.replace(/js$/, 'cache')) }
  } catch {
    return {}
  }
}
