import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { after, before, describe, it } from 'node:test'
import { startTestAgent, type TestAgent } from '../../harness/agent.js'
import { Calls } from '../../harness/calls.js'
import { buildZip, PROGRAM } from '../../harness/zip.js'

const PYTHON = '/usr/bin/python3'
const MODULES = 120

/** A Python function with modules of its own: it tells how long they took, when each was compiled, and their value. */
function pythonArchive(value: number): Buffer {
  const names = Array.from({ length: MODULES }, (_, index) => `m${index}`)
  const body = Array.from({ length: 60 }, (_, at) => {
    return `def f${at}(a, b=None, *c, **d):\n    x = [y for y in range(${at}) if y % 2]\n    return dict(a=a, b=b, c=c, x=x, **d)\n`
  }).join('\n')
  const main = [
    `#!${PYTHON}`,
    'import os, time',
    'begun = time.perf_counter()',
    `from package import ${names.join(', ')}`,
    'took = (time.perf_counter() - begun) * 1000',
    `modules = [${names.join(', ')}]`,
    'print("%.1f %d %s" % (took, sum(m.VALUE for m in modules), [os.stat(m.__cached__).st_mtime_ns for m in modules]))',
  ]
  return buildZip([
    { name: 'main.py', contents: main.join('\n'), mode: PROGRAM },
    { name: 'package/__init__.py', contents: '' },
    ...names.map((name) => ({ name: `package/${name}.py`, contents: `VALUE = ${value}\n${body}` })),
  ])
}

describe("what interpreters keep of a function's code", { skip: process.platform !== 'linux' }, () => {
  let agent: TestAgent
  let calls: Calls
  before(async () => {
    agent = await startTestAgent()
    calls = new Calls(agent.client)
  })
  after(() => agent.stop())

  it('is used at later starts, until other code is deployed', { skip: !existsSync(PYTHON) }, async (t) => {
    const run = async () => {
      const { output, error } = await calls.execute({ function_name: 'modules' })
      assert.equal(error, '')
      const [, took = '', sum = '', compiled = ''] =
        /^(\S+) (\d+) (.*)\n$/.exec(output.toString()) ?? assert.fail(output.toString())
      return { took: Number(took), sum: Number(sum), compiled }
    }
    const config = { name: 'modules', handler: 'main.py' }
    assert.equal((await calls.deploy('modules', pythonArchive(3), config)).success, true)
    const first = await run()
    assert.equal(first.sum, 3 * MODULES)
    const later = [await run(), await run(), await run()]
    for (const { compiled } of later) assert.equal(compiled, first.compiled)
    const fastest = Math.min(...later.map(({ took }) => took))
    t.diagnostic(`${first.took} ms to import ${MODULES} modules at first, ${fastest} ms later`)
    assert.ok(fastest < first.took / 2)

    // Of the same times and sizes, by which Python tells that bytecode is out of date.
    assert.equal((await calls.deploy('modules', pythonArchive(7), config)).success, true)
    assert.equal((await run()).sum, 7 * MODULES)
  })

  it('is where the function says', async () => {
    await calls.script('own', 'echo $PYTHONPYCACHEPREFIX $NODE_COMPILE_CACHE; ls -d "$XDG_CACHE_HOME"', {
      env: { PYTHONPYCACHEPREFIX: '/mine', NODE_COMPILE_CACHE: '', XDG_CACHE_HOME: '/usr' },
    })
    assert.equal((await calls.execute({ function_name: 'own' })).output.toString(), '/mine\n/usr\n')
  })

  it('is kept nowhere with functions.code_cache: false', async (t) => {
    const without = await startTestAgent({ config: { functions: { code_cache: false } } })
    t.after(() => without.stop())
    const uncached = new Calls(without.client)
    await uncached.script('env', 'env | grep -c CACHE')
    assert.equal((await uncached.execute({ function_name: 'env' })).output.toString(), '0\n')
  })
})
