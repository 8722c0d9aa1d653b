// Bundles the compiled agent and its dependencies into few files: an agent loads them in half the time.
import { rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { files, hashOf, readStamp } from './stamps.mjs'

const COMPILED = join('dist', 'src')
const BUNDLE = join('dist', 'agent')
const STAMP = join(BUNDLE, '.setup-stamp')
/** The command, the entries of threads, and the file that knows where these are. */
const ENTRIES = ['cli/index', 'workers/index', 'workers/deploy/deploy', 'installation']
/** They load files of their own by path, or in case they are needed. */
const EXTERNAL = ['lmdb', 'piscina', 'pino-pretty']
/** Dependencies that are CommonJS ask for Node's modules by `require`. */
const REQUIRE =
  "import { createRequire as bundledRequire } from 'node:module'; const require = bundledRequire(import.meta.url);"

/** Needs the compiled sources. Runs in the repository's folder. */
export function bundle() {
  const state = hashOf([...files(COMPILED, '.js'), 'package-lock.json', import.meta.filename])
  if (readStamp(STAMP) === state) return
  console.log(`bundling the agent to ${BUNDLE}/`)
  rmSync(BUNDLE, { recursive: true, force: true })
  // Not there before the packages are installed.
  const { buildSync } = createRequire(import.meta.url)('esbuild')
  buildSync({
    entryPoints: ENTRIES.map((entry) => join(COMPILED, `${entry}.js`)),
    outbase: COMPILED,
    outdir: BUNDLE,
    // Paths in installation.ts are relative to a file in this folder.
    chunkNames: '[name]-[hash]',
    bundle: true,
    splitting: true,
    platform: 'node',
    target: 'node20',
    format: 'esm',
    external: EXTERNAL,
    banner: { js: REQUIRE },
    legalComments: 'eof',
    logLevel: 'warning',
  })
  writeFileSync(STAMP, state)
}
