import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { it } from 'node:test'

it('nothing was left when the unit for executions had stopped', () => {
  assert.equal(readFileSync('/var/lib/witness', 'utf8'), 'end\n')
})
