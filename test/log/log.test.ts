import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { test } from 'node:test'

const LOG = new URL('../../src/log/log.js', import.meta.url).href

test('what a library prints is a line of the log', () => {
  const program = `
    import { createLog } from '${LOG}'
    createLog('info', { agent: 'a' })
    for (let i = 0; i < 3; i++) console.error(new Error('of a library'))
    console.warn('%s of two', 1)`
  const { stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', program], { encoding: 'utf8' })
  const lines = stderr.trimEnd().split('\n')
  const read = lines.map((line) => JSON.parse(line) as { level: number; agent: string; msg: string })
  assert.deepEqual(
    read.map(({ level, agent, msg }) => [level, agent, msg]),
    [
      [50, 'a', 'Error: of a library'],
      [40, 'a', '1 of two'],
    ],
  )
})
