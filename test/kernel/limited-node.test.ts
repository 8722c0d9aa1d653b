import { mkdirSync, writeFileSync } from 'node:fs'
import { describeLimitedNode } from '../support/limited-node.js'
import { makeGroup, within } from './groups.js'
import { notInGuest } from './guest.js'

describeLimitedNode('a node that is limited by a cgroup above its own', notInGuest ?? false, () => {
  const slice = makeGroup('flux-test-limited')
  writeFileSync(`${slice}/cgroup.subtree_control`, '+memory +cpu +pids')
  const service = `${slice}/service`
  mkdirSync(service)
  writeFileSync(`${slice}/memory.max`, String(700 << 20))
  writeFileSync(`${slice}/cpu.max`, '50000 100000')
  return { memoryMb: 700, through: within(service) }
})
