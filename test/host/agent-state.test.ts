import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { eventually } from '../../harness/eventually.js'
import { AgentState, type State } from '../../src/host/agent-state.js'

const LOAD = { active: 0, waiting: 0 }

function serving() {
  const state = new AgentState()
  const node: { obstacle?: string } = {}
  state.serve({ address: 'here', load: LOAD, problems: () => [], obstacle: () => node.obstacle })
  return { state, node }
}

describe('the state of an agent', () => {
  it('goes from its start to its stop', () => {
    const state = new AgentState()
    const kinds: State['kind'][] = [state.current.kind]
    state.onChange(({ kind }) => kinds.push(kind))
    state.wait('the store')
    state.wait('its name')
    state.serve({ address: 'here', load: LOAD, problems: () => [], obstacle: () => undefined })
    state.drain(new Date(7))
    assert.deepEqual(state.drainedSince, new Date(7))
    state.resume()
    state.stop(new Date(), LOAD)
    assert.deepEqual(kinds, ['starting', 'waiting', 'waiting', 'serving', 'draining', 'serving', 'stopping'])
  })

  it('is a drain of before from the moment that it serves', () => {
    const state = new AgentState()
    state.drain(new Date(7))
    assert.equal(state.current.kind, 'starting')
    state.serve({ address: 'here', load: LOAD, problems: () => [], obstacle: () => undefined })
    assert.equal(state.current.kind, 'draining')
  })

  it('is stuck rather than drained, and tells of it though nobody says so', async (t) => {
    const { state, node } = serving()
    const kinds: State['kind'][] = []
    t.after(state.onChange(({ kind }) => kinds.push(kind)))
    state.drain(new Date())
    node.obstacle = 'no name'
    assert.deepEqual(state.current.kind === 'stuck' && state.current.cause, 'no name')
    await eventually('it is told', () => kinds.includes('stuck'))
    delete node.obstacle
    await eventually('its end, too', () => kinds.at(-1) === 'draining')
    state.stop(new Date(), LOAD)
    node.obstacle = 'no name'
    assert.equal(state.current.kind, 'stopping')
  })

  it('is told nobody who has left', () => {
    const { state } = serving()
    let told = 0
    const leave = state.onChange(() => told++)
    state.drain(new Date())
    leave()
    state.resume()
    assert.equal(told, 1)
  })
})
