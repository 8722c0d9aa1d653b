// Everything of one boot, in this order.
import { join } from 'node:path'
import { bootstrap } from './bootstrap.js'
import { run, SHARED } from './machine.js'

run('useradd', '--create-home', 'admin')
run('dpkg', '-i', join(SHARED, 'flux-agent.deb'))
bootstrap()

await import('./calls.js')
await import('./unit.js')
await import('./functions.js')
await import('./later.js')
await import('./reload.js')
await import('./stop.js')
await import('./death.js')
