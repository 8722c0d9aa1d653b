import assert from 'node:assert/strict'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { Script } from 'node:vm'
import { makeTempDir } from '../harness/agent.js'
import { loadBundle } from '../src/load-bundle.js'

const BUNDLES = fileURLToPath(new URL('../agent', import.meta.url))

describe('a bundle', () => {
  const WRAPPED = (body: string) => `(function (exports, require, module, __filename, __dirname) {${body}})`
  const SOURCE = WRAPPED(
    "exports.sum = (a, b) => a + b; exports.where = [__filename, __dirname, require('./other.json')]",
  )

  function bundle(cache?: Buffer): string {
    const dir = makeTempDir('flux-bundle-')
    writeFileSync(join(dir, 'other.json'), '1')
    writeFileSync(join(dir, 'part-1.js'), SOURCE)
    if (cache) writeFileSync(join(dir, 'part-1.cache'), cache)
    return join(dir, 'part-1.js')
  }

  it('is run like a module', () => {
    const file = bundle()
    const { sum, where } = loadBundle(file) as { sum(a: number, b: number): number; where: unknown[] }
    assert.equal(sum(1, 2), 3)
    assert.deepEqual(where, [file, join(file, '..'), 1])
  })

  const compiled = new Script(SOURCE).createCachedData()
  const caches = {
    'its own': compiled,
    'an empty one': Buffer.alloc(0),
    'one cut off': compiled.subarray(0, compiled.length / 2),
    'one of another length of source': new Script(WRAPPED('')).createCachedData(),
    'none at all': Buffer.from('not a cache'),
  }
  for (const [which, cache] of Object.entries(caches)) {
    it(`runs with a code cache that is ${which}`, () => {
      const { sum } = loadBundle(bundle(cache)) as { sum(a: number, b: number): number }
      assert.equal(sum(1, 2), 3)
    })
  }

  it('has the same name in stack traces, compiled ahead or not', () => {
    const source = WRAPPED("throw new Error('as meant')")
    const trace = (cache?: Buffer) => {
      const file = bundle(cache)
      writeFileSync(file, source)
      try {
        loadBundle(file)
      } catch (error) {
        return (error as Error).stack?.split('\n')[1]
      }
      return undefined
    }
    assert.equal(trace()?.trim(), 'at part-1.js:1:68')
    assert.equal(trace(new Script(source, { filename: 'part-1.js' }).createCachedData()), trace())
  })
})

describe('the bundles of the build', () => {
  const bundles = readdirSync(BUNDLES).filter((name) => /^(agent|worker|deploy)-.*\.js$/.test(name))

  it('are one a kind of thread', () => {
    assert.deepEqual(bundles.map((name) => name.split('-')[0]).sort(), ['agent', 'deploy', 'worker'])
  })

  for (const name of bundles) {
    it(`${name} has code that this Node takes`, () => {
      const file = join(BUNDLES, name)
      const cachedData = readFileSync(file.replace(/js$/, 'cache'))
      const script = new Script(readFileSync(file, 'latin1'), { filename: file, cachedData })
      assert.equal(script.cachedDataRejected, false)
    })
  }
})
