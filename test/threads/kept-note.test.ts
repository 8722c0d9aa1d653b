import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { decodeNote, encodeNote, type KeptNote } from '../../src/threads/kept-note.js'
import { running } from '../store/records.js'

const note: KeptNote = {
  version: 1,
  record: { ...running('f-1'), warnings: ['a mistake, "quoted" ü'] },
  idNumber: 2 ** 52 + 1,
  versionDir: '/apps/ü/versions/1-2',
  handler: 'bin/run "it"\n',
  timeoutSeconds: 0.5,
  limits: { memoryMb: 256, cpuMillicores: 500 },
  maxOutputBytes: 2 ** 20,
}

const json = (value: unknown) => Buffer.from(JSON.stringify(value))

describe('the note of an execution that is kept', () => {
  it('is read as it was written, from wherever it stands in memory', () => {
    const { idNumber: _idNumber, ...without } = note
    for (const one of [note, without]) {
      assert.deepEqual(decodeNote(encodeNote(one)), one)
      const between = Buffer.concat([Buffer.from('{'), encodeNote(one), Buffer.from('}')])
      assert.deepEqual(decodeNote(new Uint8Array(between.subarray(1, -1))), one)
    }
  })

  it('of a later version of the agent may have more in it', () => {
    assert.deepEqual(decodeNote(json({ ...note, later: [1] })), { ...note, later: [1] })
  })

  for (const [what, bytes] of [
    ['of another version', json({ ...note, version: 2 })],
    ['without a version', json({ ...note, version: undefined })],
    ['that is empty', Buffer.alloc(0)],
    ['that is cut off', Buffer.from(encodeNote(note).subarray(0, -1))],
    ['that is no JSON', Buffer.from([0, 255, 1])],
    ['that is null', Buffer.from('null')],
    ['that is a number', Buffer.from('1')],
    ['that is a list', Buffer.from('[1]')],
  ] as const) {
    it(`${what} is not understood`, () => assert.equal(decodeNote(bytes), undefined))
  }
})
