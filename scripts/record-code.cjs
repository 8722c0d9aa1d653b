// Loaded into an agent by code-cache.mjs, in each of its threads: on SIGWINCH writes what V8 has compiled of the bundles
// to the folder CODE_CACHE.
const { renameSync, writeFileSync } = require('node:fs')
const { join } = require('node:path')
const vm = require('node:vm')
const { BroadcastChannel, isMainThread } = require('node:worker_threads')

const scripts = new Map()
vm.Script = class extends vm.Script {
  constructor(source, options) {
    super(source, options)
    scripts.set(options.filename, this)
  }
}

// Only the main thread hears of signals. The agent itself has a use for the others.
const threads = new BroadcastChannel('code cache')
threads.unref()
if (isMainThread) {
  process.on('SIGWINCH', () => {
    threads.postMessage('write')
    write()
  })
} else threads.onmessage = write

function write() {
  for (const [name, script] of scripts) {
    const file = join(process.env.CODE_CACHE, name.replace(/js$/, 'cache'))
    writeFileSync(`${file}.new`, script.createCachedData())
    renameSync(`${file}.new`, file)
  }
}
