import assert from 'node:assert/strict'
import { beforeEach, describe, it } from 'node:test'
import { Functions } from '../../../src/main/functions/functions.js'
import { settingsOf } from '../../support/settings.js'

const SETTINGS = settingsOf('hello')

const version = (dir: string) => ({ dir, digest: `digest of ${dir}` })

describe('Functions', () => {
  let removed: string[]
  let functions: Functions

  beforeEach(() => {
    removed = []
    functions = new Functions(
      () => {},
      (dir) => removed.push(dir),
    )
  })

  function lease() {
    const taken = functions.lease('hello')
    assert.ok(taken, 'no lease')
    return taken
  }

  it('cannot be leased before both settings and code are there', () => {
    assert.equal(functions.lease('hello'), undefined)
    functions.register(SETTINGS)
    assert.equal(functions.lease('hello'), undefined)
    functions.serve('hello', version('v1'))
    assert.equal(lease().version.dir, 'v1')
  })

  it('cannot be leased with code alone', () => {
    functions.serve('hello', version('v1'))
    assert.equal(functions.lease('hello'), undefined)
  })

  it('keeps settings and version of a lease as they were', () => {
    functions.register(SETTINGS)
    functions.serve('hello', version('v1'))
    const before = lease()
    functions.register({ ...SETTINGS, timeoutSeconds: 5 })
    functions.serve('hello', version('v2'))
    assert.deepEqual([before.settings.timeoutSeconds, before.version.dir], [0, 'v1'])
    assert.deepEqual([lease().settings.timeoutSeconds, lease().version.dir], [5, 'v2'])
  })

  it('deletes a replaced version at once where nobody runs it', () => {
    functions.register(SETTINGS)
    functions.serve('hello', version('v1'))
    functions.serve('hello', version('v2'))
    assert.deepEqual(removed, ['v1'])
  })

  it('deletes a replaced version with the end of the last execution that runs it', () => {
    functions.register(SETTINGS)
    functions.serve('hello', version('v1'))
    const [first, second] = [lease(), lease()]
    functions.serve('hello', version('v2'))
    first.release()
    assert.deepEqual(removed, [])
    second.release()
    assert.deepEqual(removed, ['v1'])
  })

  it('counts a lease released twice once', () => {
    functions.register(SETTINGS)
    functions.serve('hello', version('v1'))
    const [first] = [lease(), lease()]
    functions.serve('hello', version('v2'))
    first.release()
    first.release()
    assert.deepEqual(removed, [])
  })

  it('finds a name that differs in its capital letters only', () => {
    functions.register(SETTINGS)
    assert.equal(functions.differingInCase('hello'), undefined)
    assert.equal(functions.differingInCase('Hello'), 'hello')
    assert.equal(functions.differingInCase('hello2'), undefined)
  })

  it('never deletes the version that serves', () => {
    functions.register(SETTINGS)
    functions.serve('hello', version('v1'))
    lease().release()
    functions.serve('hello', version('v1'))
    lease().release()
    assert.deepEqual(removed, [])
  })

  describe('code that an execution of an earlier agent runs', () => {
    it('is kept while it is held, and deleted with the last of its executions', () => {
      functions.register(SETTINGS)
      functions.serve('hello', version('v2'))
      const [first, second] = [functions.holdOf('hello', 'v1'), functions.holdOf('hello', 'v1')]
      first()
      first()
      assert.deepEqual(removed, [])
      second()
      assert.deepEqual(removed, ['v1'])
    })

    it('stays where it is what serves', () => {
      functions.register(SETTINGS)
      functions.serve('hello', version('v1'))
      functions.holdOf('hello', 'v1')()
      assert.deepEqual(removed, [])
      assert.equal(lease().version.dir, 'v1')
    })

    it('is deleted where another version has come to serve meanwhile', () => {
      functions.register(SETTINGS)
      functions.serve('hello', version('v1'))
      const release = functions.holdOf('hello', 'v1')
      const leased = lease()
      functions.serve('hello', version('v2'))
      release()
      assert.deepEqual(removed, [])
      leased.release()
      assert.deepEqual(removed, ['v1'])
    })

    it('is deleted with its last execution where the function is not known any more', () => {
      functions.holdOf('gone', 'v1')()
      assert.deepEqual(removed, ['v1'])
    })
  })
})
