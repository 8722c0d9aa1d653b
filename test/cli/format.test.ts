import assert from 'node:assert/strict'
import { test } from 'node:test'
import { formatBytes, formatDuration } from '../../src/cli/format.js'

test('bytes in their largest unit', () => {
  assert.deepEqual([0, 1023, 1024, 1_572_864, 2 ** 40].map(formatBytes), [
    '0 B',
    '1023 B',
    '1.0 KiB',
    '1.5 MiB',
    '1.0 TiB',
  ])
})

test('durations in their two largest units', () => {
  const shown = [-5, 0, 999, 59_000, 200_000, 3_600_000, 90_061_000].map(formatDuration)
  assert.deepEqual(shown, ['0s', '0s', '0s', '59s', '3m 20s', '1h 0m', '1d 1h'])
})
