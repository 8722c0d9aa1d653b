import assert from 'node:assert/strict'
import { test } from 'node:test'
import { guessHandler } from '../../../src/cli/deploy/handler.js'

const plain = (path: string) => ({ path, executable: false })
const program = (path: string) => ({ path, executable: true })

test('the only candidate is the handler', () => {
  assert.equal(guessHandler('f', [program('run.sh'), plain('README.md')]), 'run.sh')
  assert.equal(guessHandler('f', [plain('index.js'), plain('package.json'), program('bin/tool')]), 'index.js')
  assert.equal(guessHandler('resize', [plain('resize.py'), plain('lib.py')]), 'resize.py')
  assert.equal(guessHandler('f', [plain('main'), plain('maintenance.txt')]), 'main')
})

test('several candidates are listed', () => {
  assert.throws(
    () => guessHandler('f', [program('run.sh'), plain('main.py')]),
    /--handler FILE \(candidates: run\.sh, main\.py\)/,
  )
})

test('code without a candidate says what would be one', () => {
  assert.throws(
    () => guessHandler('f', [plain('data')]),
    /\(candidates: no file at the top is executable or named like one\)$/,
  )
  assert.throws(
    () => guessHandler('f', [program('repo-main/run.sh'), plain('repo-main/main.py'), plain('repo-main/data')]),
    /named like one; further down: repo-main\/run\.sh, repo-main\/main\.py\)$/,
  )
})
