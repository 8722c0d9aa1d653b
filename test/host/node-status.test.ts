import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { cpus, freemem, totalmem } from 'node:os'
import { test } from 'node:test'
import { setTimeout as wait } from 'node:timers/promises'
import { Worker } from 'node:worker_threads'
import { busyPercent, NodeSampler } from '../../src/host/node-status.js'

test('there is a whole sample at once', (t) => {
  const sampler = new NodeSampler()
  t.after(() => sampler.close())
  const sample = sampler.current()
  assert.ok(sample.cpu_percent >= 0 && sample.cpu_percent <= 100)
  assert.equal(sample.memory_total_mb, Math.round(totalmem() / 2 ** 20))
  const used = (totalmem() - freemem()) / 2 ** 20
  assert.ok(Math.abs(sample.memory_used_mb - used) < 0.1 * sample.memory_total_mb)
  assert.ok(Math.abs(sample.memory_percent - (sample.memory_used_mb / sample.memory_total_mb) * 100) < 0.1)
})

test('asking does not sample: the same answer until the next interval', (t) => {
  const sampler = new NodeSampler(60_000)
  t.after(() => sampler.close())
  assert.equal(sampler.current(), sampler.current())
})

test('a busy core shows within a few intervals', { timeout: 20_000 }, async (t) => {
  const sampler = new NodeSampler(100)
  const worker = new Worker('for (;;);', { eval: true })
  t.after(async () => {
    sampler.close()
    await worker.terminate()
  })
  // One of the cores; others may be busy too.
  const least = 80 / cpus().length
  const first = sampler.current()
  const deadline = Date.now() + 15_000
  while (sampler.current() === first || sampler.current().cpu_percent < least) {
    assert.ok(Date.now() < deadline, `only ${sampler.current().cpu_percent} %`)
    await wait(20)
  }
})

test('a sampler that is not closed does not keep the process alive', async (t) => {
  const module = new URL('../../src/host/node-status.js', import.meta.url)
  const child = spawn(process.execPath, [
    '--input-type=module',
    '-e',
    `import { NodeSampler } from '${module}'; new NodeSampler()`,
  ])
  const overdue = setTimeout(() => child.kill('SIGKILL'), 10_000)
  t.after(() => clearTimeout(overdue))
  assert.equal(await new Promise((resolve) => child.once('exit', resolve)), 0)
})

test('the share of busy time is between two readings, from 0 to 100', () => {
  assert.equal(busyPercent({ busy: 100, total: 1000 }, { busy: 150, total: 1200 }), 25)
  assert.equal(busyPercent({ busy: 100, total: 1000 }, { busy: 300, total: 1200 }), 100)
  assert.equal(busyPercent({ busy: 100, total: 1000 }, { busy: 100, total: 1000 }), 0)
  assert.equal(busyPercent({ busy: 100, total: 1000 }, { busy: 90, total: 1010 }), 0)
})
