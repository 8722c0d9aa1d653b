import { it } from 'node:test'
import { runInGuest } from './boot.js'

it('is installed, upgraded, rebooted and purged', (t) => runInGuest(t, 'trixie', 'install', 'reboot-and-purge'))
