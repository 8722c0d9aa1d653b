import { describe, it } from 'node:test'
import { runInGuest } from './boot.js'

describe('the units, with another program in the place of the agent', () => {
  for (const release of ['bookworm', 'trixie']) {
    it(`keep what it has left through its deaths, and nothing through a stop: ${release}`, (t) =>
      runInGuest(t, release, 'units', 'units-after-shutdown'))
  }
})
