import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { AgentState } from '../../src/host/agent-state.js'
import { ServiceManager } from '../../src/host/service-manager.js'
import { platform } from '../../src/os/index.js'
import { noServiceManager, ServiceManagerSocket } from '../support/service-manager.js'

const IDLE = { active: 0, waiting: 0 }

describe('what the service manager is told of a reload', { skip: noServiceManager }, () => {
  it('is its begin, with the time, and its end, and only while the agent serves', async (t) => {
    const socket = await ServiceManagerSocket.open()
    t.after(socket.close)
    process.env['NOTIFY_SOCKET'] = socket.address
    const state = new AgentState()
    const service = new ServiceManager(platform.takeServiceNotifier(assert.fail), state)
    assert.equal(process.env['NOTIFY_SOCKET'], undefined)
    service.reloading()
    service.ready()
    const before = process.hrtime.bigint() / 1000n
    state.serve({ address: '127.0.0.1:1', load: IDLE, problems: () => [], obstacle: () => undefined })
    service.reloading()
    service.reloading()
    service.ready()
    service.ready()
    state.stop(new Date(), IDLE)
    service.reloading()
    service.ready()
    await service.close()
    await socket.told(/^STOPPING=1$/)
    const told = socket.received.map(({ lines }) => lines[0])
    assert.deepEqual(told, ['READY=1', 'RELOADING=1', 'READY=1', 'STOPPING=1'])
    const [, monotonic = ''] = socket.received[1]?.lines ?? []
    const [, time = ''] = /^MONOTONIC_USEC=(\d+)$/.exec(monotonic) ?? []
    assert.ok(BigInt(time) >= before && BigInt(time) <= process.hrtime.bigint() / 1000n, monotonic)
    assert.equal(socket.received[2]?.lines[1], 'STATUS=serving on 127.0.0.1:1: 0 executions running, 0 waiting')
  })

  it('is the last word of a start that fails, on one line', async (t) => {
    const socket = await ServiceManagerSocket.open()
    t.after(socket.close)
    process.env['NOTIFY_SOCKET'] = socket.address
    const state = new AgentState()
    const service = new ServiceManager(platform.takeServiceNotifier(assert.fail), state)
    const error = Object.assign(new Error(`one\nREADY=1 ${'x'.repeat(9999)}`), { errno: -13 })
    await service.failed(error)
    const { lines } = await socket.told(/^ERRNO=13$/)
    assert.match(lines.join(), /^ERRNO=13,STATUS=cannot start: one READY=1 x+$/)
  })
})
