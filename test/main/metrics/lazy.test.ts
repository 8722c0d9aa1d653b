import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { makeTempDir, startTestAgent } from '../../../harness/agent.js'

/** What V8 writes at the end of a process where NODE_V8_COVERAGE names a folder, as far as it is read here. */
interface Coverage {
  readonly result: readonly {
    readonly url: string
    readonly functions: readonly {
      readonly functionName: string
      readonly ranges: readonly { readonly count: number }[]
    }[]
  }[]
}

/** The modules of the bundle, each of which is a function with its path as its name, and whether an agent has run it. */
async function modulesOfAgent(): Promise<Map<string, boolean>> {
  const dir = makeTempDir('flux-coverage-')
  const agent = await startTestAgent({ env: { NODE_V8_COVERAGE: dir } })
  await agent.stop()
  const modules = new Map<string, boolean>()
  for (const file of readdirSync(dir)) {
    const { result }: Coverage = JSON.parse(readFileSync(join(dir, file), 'utf8'))
    for (const { functionName: name, ranges } of result.flatMap(({ functions }) => functions)) {
      if (/\.js$/.test(name)) modules.set(name, modules.get(name) === true || (ranges[0]?.count ?? 0) > 0)
    }
  }
  return modules
}

describe('the code for metrics', () => {
  it('is in the bundle, and not loaded by an agent that serves none', async () => {
    const modules = await modulesOfAgent()
    const needed = [...modules].filter(([name]) => /main\/metrics\/|prom-client/.test(name))
    assert.ok(needed.length > 5, `${modules.size} modules`)
    assert.deepEqual(
      needed.filter(([, ran]) => ran),
      [],
    )
    assert.equal(modules.get('dist/src/main/start/start-metrics.js'), true)
  })
})
