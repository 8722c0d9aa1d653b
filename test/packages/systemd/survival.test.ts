import { it } from 'node:test'
import { runInGuest } from './boot.js'

it('executions outlive deaths of the agent, and no stop', (t) => runInGuest(t, 'bookworm', 'survival'))

it('executions outlive an upgrade', (t) => runInGuest(t, 'trixie', 'handover'))
