import assert from 'node:assert/strict'
import { test } from 'node:test'
import { exitCodeOf, isOwnExit } from '../../src/cli/exit-code.js'

const CASES: readonly [error: string, code: number, silent: boolean][] = [
  ['', 0, true],
  ['exit code 3', 3, true],
  ['exit code 255', 255, true],
  ['execution timed out after 5s', 124, false],
  ['execution cancelled', 130, false],
  ['killed by SIGKILL', 137, false],
  ['out of memory: exceeded 64 MB', 137, false],
  ['killed by SIGSEGV', 139, false],
  ['function not found', 125, false],
  ['function f at capacity', 125, false],
  ['agent stopped', 125, false],
]

for (const [error, code, silent] of CASES)
  test(`"${error}" ends the command with ${code}`, () => {
    assert.equal(exitCodeOf(error), code)
    assert.equal(isOwnExit(error), silent)
  })
