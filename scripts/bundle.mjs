// Bundles the compiled agent and its dependencies into a file a thread: an agent loads them in a third of the time.
import { chmodSync, mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { basename, dirname, join, relative } from 'node:path'
import { files, hashOf, readStamp } from './stamps.mjs'

const COMPILED = join('dist', 'src')
export const BUNDLES = join('dist', 'agent')
const STAMP = join(BUNDLES, '.setup-stamp')
/** The command, and the threads. They are found at the same places below `COMPILED` and `BUNDLES`. */
const ENTRIES = { agent: 'cli/index.js', worker: 'workers/index.js', deploy: 'workers/deploy/deploy.js' }
/**
 * V8 finds dead buffers by a scavenge once the young ones hold 32 MB. The limit of a heap as small as the agent's lies below
 * that, so that V8 would mark the whole heap instead, for every few MB of output.
 */
export const HEAP_OPTION = '--initial-old-space-size=64'
const COMMAND = `#!/usr/bin/env -S node ${HEAP_OPTION}
// Its heap is made. Where an option is set, V8 takes no code that was compiled without it, as Node's own is.
require('node:v8').setFlagsFromString('--initial-old-space-size=0')`
const LOADER = 'load-bundle.js'
/** They load files of their own by path, or are for what few agents are asked for. */
const EXTERNAL = ['lmdb', 'piscina', 'pino-pretty', '@grpc/proto-loader']
const WRAPPER = [
  '(function (exports, require, module, __filename, __dirname) {',
  "const importMetaUrl = require('node:url').pathToFileURL(__filename).href;",
]

/** Needs the compiled sources. Runs in the repository's folder. */
export function bundle() {
  const state = hashOf([...files(COMPILED, '.js'), 'package-lock.json', import.meta.filename])
  if (readStamp(STAMP) === state) return
  console.log(`bundling the agent to ${BUNDLES}/`)
  rmSync(BUNDLES, { recursive: true, force: true })
  // Not there before the packages are installed.
  const { buildSync } = createRequire(import.meta.url)('esbuild')
  const common = {
    bundle: true,
    platform: 'node',
    target: 'node20',
    format: 'cjs',
    outdir: BUNDLES,
    logLevel: 'warning',
  }
  buildSync({ ...common, entryPoints: [join(COMPILED, LOADER)] })
  const { metafile } = buildSync({
    ...common,
    entryPoints: Object.fromEntries(Object.entries(ENTRIES).map(([name, entry]) => [name, join(COMPILED, entry)])),
    // Code that V8 has compiled belongs to one content: V8 itself looks at the length only.
    entryNames: '[name]-[hash]',
    metafile: true,
    external: EXTERNAL,
    // import() becomes require(): a script that is run by hand has no loader of its own.
    supported: { 'dynamic-import': false },
    define: { 'import.meta.url': 'importMetaUrl' },
    banner: { js: WRAPPER.join(' ') },
    footer: { js: '})' },
    // Each thread holds the text of its bundle. Stack traces need names and lines.
    minifyWhitespace: true,
    minifySyntax: true,
    lineLimit: 120,
    legalComments: 'eof',
  })
  // The package's other files are ES modules.
  writeFileSync(join(BUNDLES, 'package.json'), '{ "type": "commonjs" }\n')
  for (const output of Object.keys(metafile.outputs)) writeEntry(basename(output))
  writeFileSync(STAMP, state)
}

function writeEntry(file) {
  const entry = join(BUNDLES, ENTRIES[file.split('-')[0]])
  const top = relative(dirname(entry), BUNDLES)
  mkdirSync(dirname(entry), { recursive: true })
  const load = `module.exports = require('${top}/${LOADER}').loadBundle(require.resolve('${top}/${file}'))\n`
  const isCommand = entry.endsWith(ENTRIES.agent)
  writeFileSync(entry, isCommand ? `${COMMAND}\n${load}` : load)
  if (isCommand) chmodSync(entry, 0o755)
}
