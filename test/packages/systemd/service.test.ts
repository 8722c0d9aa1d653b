import { it } from 'node:test'
import { runInGuest } from './boot.js'

it('is a service that systemd starts, stops, watches and reloads', (t) => runInGuest(t, 'bookworm', 'service'))
