import assert from 'node:assert/strict'
import { chmodSync, chownSync, copyFileSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { it } from 'node:test'
import { makeTempDir } from '../../support/agent.js'
import { eventually } from '../../support/eventually.js'
import { helper, noCompiler } from './builds.js'
import { describeEach, isRoot, NOBODY } from './variants.js'

const LIMIT_SECONDS = 15

describeEach('a start that its user holds up', ({ launch }) => {
  it('fails in the end, and does not keep others from being killed', { skip: noCompiler }, async () => {
    const holds = Number(readFileSync('/proc/sys/fs/lease-break-time', 'latin1'))
    const launcher = launch()
    const user = isRoot ? { user: NOBODY } : {}
    const dir = makeTempDir('flux-slow-')
    const file = join(dir, 'program')
    copyFileSync('/bin/true', file)
    for (const path of [dir, file]) {
      chmodSync(path, 0o755)
      if (isRoot) chownSync(path, NOBODY.uid, NOBODY.gid)
    }
    const holder = launcher.start({ file: helper('hold-lease'), argv: ['hold-lease', file], ...user })
    await eventually('the lease', () => holder.output() === 'held\n')
    const other = launcher.script('exec sleep 600')
    await other.started
    const begun = performance.now()
    const held = launcher.start({ file, ...user })
    launcher.kill(other)
    await other.ended
    const { step } = await held.failed
    const seconds = (performance.now() - begun) / 1000
    assert.equal(step, 'EXEC')
    assert.ok(seconds < Math.min(LIMIT_SECONDS, holds), `it took ${seconds} s`)
    launcher.kill(holder)
    await holder.ended
  })
})
