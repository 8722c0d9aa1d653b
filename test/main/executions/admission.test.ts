import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { type Admission, AdmissionControl, type Slot } from '../../../src/main/executions/admission.js'

function admitted(admission: Admission): Slot {
  assert.equal(admission.kind, 'admitted')
  return (admission as Extract<Admission, { kind: 'admitted' }>).slot
}

const nobody = () => assert.fail('granted')

describe('AdmissionControl', () => {
  it('admits any number where nothing is limited', () => {
    const control = new AdmissionControl(0, 0)
    for (let i = 0; i < 100; i++) admitted(control.request('f', 'exit', nobody))
    assert.equal(control.active, 100)
  })

  it('turns away what exceeds the limit of its function, and of no other', () => {
    const control = new AdmissionControl(0, 10)
    control.limit('f', 1)
    admitted(control.request('f', 'exit', nobody))
    assert.deepEqual(control.request('f', 'exit', nobody), { kind: 'full' })
    admitted(control.request('g', 'exit', nobody))
  })

  it('turns away what exceeds the limit of the node, whichever function it is', () => {
    const control = new AdmissionControl(2, 10)
    admitted(control.request('f', 'exit', nobody))
    admitted(control.request('g', 'exit', nobody))
    assert.deepEqual(control.request('h', 'exit', nobody), { kind: 'full' })
  })

  it('turns everybody away while it is closed, but lets those go on who wait', () => {
    const control = new AdmissionControl(1, 10)
    const slot = admitted(control.request('f', 'wait', nobody))
    let granted = 0
    control.request('f', 'wait', () => granted++)
    control.close()
    assert.deepEqual(control.request('f', 'wait', nobody), { kind: 'closed' })
    assert.deepEqual(control.request('f', 'exit', nobody), { kind: 'closed' })
    slot.release()
    assert.equal(granted, 1)
    control.open()
    assert.deepEqual(control.request('f', 'exit', nobody), { kind: 'full' })
  })

  it('gives a place back once, however often it is released', () => {
    const control = new AdmissionControl(0, 10)
    control.limit('f', 2)
    const slot = admitted(control.request('f', 'exit', nobody))
    admitted(control.request('f', 'exit', nobody))
    slot.release()
    slot.release()
    assert.equal(control.active, 1)
    admitted(control.request('f', 'exit', nobody))
    assert.deepEqual(control.request('f', 'exit', nobody), { kind: 'full' })
  })

  it('lets what runs already have a place beyond every limit, which counts', () => {
    const control = new AdmissionControl(2, 10)
    control.limit('f', 1)
    const slots = [1, 2, 3].map(() => control.occupy('f'))
    assert.equal(control.active, 3)
    assert.deepEqual(control.request('f', 'exit', nobody), { kind: 'full' })
    assert.deepEqual(control.request('g', 'exit', nobody), { kind: 'full' })
    let granted = 0
    control.request('f', 'wait', () => granted++)
    for (const slot of slots.slice(0, 2)) slot.release()
    admitted(control.request('g', 'exit', nobody)).release()
    assert.equal(granted, 0)
    slots[2]?.release()
    slots[2]?.release()
    assert.equal(granted, 1)
    assert.equal(control.active, 1)
  })

  it('serves a raised limit to those that wait', () => {
    const control = new AdmissionControl(0, 10)
    control.limit('f', 1)
    admitted(control.request('f', 'wait', nobody))
    const granted: number[] = []
    for (const i of [1, 2, 3]) control.request('f', 'wait', () => granted.push(i))
    control.limit('f', 3)
    assert.deepEqual(granted, [1, 2])
    control.limit('f', 0)
    assert.deepEqual([granted, control.waiting], [[1, 2, 3], 0])
  })

  it('lets nobody past the one who waits longest for a place of the node', () => {
    const control = new AdmissionControl(1, 10)
    const slot = admitted(control.request('f', 'wait', nobody))
    const granted: string[] = []
    for (const name of ['g', 'f', 'h']) {
      control.request(name, 'wait', (next) => {
        granted.push(name)
        next.release()
      })
    }
    slot.release()
    assert.deepEqual(granted, ['g', 'f', 'h'])
  })

  it('lets nobody past those that wait from within a grant', () => {
    const control = new AdmissionControl(0, 10)
    control.limit('f', 1)
    admitted(control.request('f', 'wait', nobody))
    const granted: string[] = []
    control.request('f', 'wait', () => {
      granted.push('first')
      assert.equal(control.request('f', 'wait', () => granted.push('third')).kind, 'queued')
    })
    control.request('f', 'wait', () => granted.push('second'))
    control.limit('f', 0)
    assert.deepEqual(granted, ['first', 'second', 'third'])
  })

  it('does not let a function that is full hold up another', () => {
    const control = new AdmissionControl(3, 10)
    control.limit('f', 1)
    admitted(control.request('f', 'wait', nobody))
    control.request('f', 'wait', nobody)
    admitted(control.request('g', 'wait', nobody))
  })
})

/** One thing that happens; numbers choose among what there is, whatever that is by then. */
type Step =
  | { readonly kind: 'request'; readonly name: string; readonly behavior: 'exit' | 'wait' }
  | { readonly kind: 'release'; readonly which: number }
  | { readonly kind: 'leave'; readonly which: number }
  | { readonly kind: 'limit'; readonly name: string; readonly to: number }

const name = fc.constantFrom('f', 'g', 'h')
const which = fc.nat(40)
const behavior = fc.constantFrom('exit' as const, 'wait' as const, 'wait' as const)
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('request' as const), name, behavior }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('release' as const), which }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('leave' as const), which }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('limit' as const), name, to: fc.nat(4) }) },
)

interface Seat {
  readonly name: string
  readonly arrival: number
  slot?: Slot
  released?: boolean
  left?: boolean
  leave?: () => void
}

/** Plays steps and checks after each what must always hold. */
class Play {
  readonly control: AdmissionControl
  private readonly seats: Seat[] = []
  private readonly limits = new Map<string, number>()
  private arrivals = 0

  constructor(
    private readonly maxTasks: number,
    private readonly maxQueued: number,
  ) {
    this.control = new AdmissionControl(maxTasks, maxQueued)
  }

  play(step: Step): void {
    if (step.kind === 'request') this.request(step.name, step.behavior)
    else if (step.kind === 'limit') {
      this.limits.set(step.name, step.to)
      this.control.limit(step.name, step.to)
    } else if (this.seats.length > 0) {
      const seat = this.seats[step.which % this.seats.length] as Seat
      if (step.kind === 'leave' && seat.leave) {
        seat.left ||= !seat.slot
        seat.leave()
      } else if (step.kind === 'release' && seat.slot) {
        seat.released = true
        seat.slot.release()
      }
    }
    this.check()
  }

  releaseAll(): void {
    for (let seat = this.active()[0]; seat; seat = this.active()[0]) {
      seat.released = true
      seat.slot?.release()
      seat.slot?.release()
    }
    assert.deepEqual([this.control.active, this.control.waiting], [0, 0])
  }

  private request(name: string, behavior: 'exit' | 'wait'): void {
    const seat: Seat = { name, arrival: this.arrivals++ }
    const free = this.hasPlace(name) && this.waiting(name).length === 0
    const full = behavior === 'exit' || this.waiting().length >= this.maxQueued
    const answer = this.control.request(name, behavior, (slot) => this.granted(seat, slot))
    assert.equal(answer.kind, free ? 'admitted' : full ? 'full' : 'queued')
    if (answer.kind === 'full') return
    if (answer.kind === 'admitted') seat.slot = answer.slot
    else seat.leave = () => answer.ticket.leave()
    this.seats.push(seat)
  }

  private granted(seat: Seat, slot: Slot): void {
    assert.equal(seat.slot, undefined, 'granted twice')
    assert.ok(!seat.left, 'granted to one that had left')
    assert.ok(this.hasPlace(seat.name), 'granted beyond a limit')
    const earlier = this.waiting().filter(({ name, arrival }) => arrival < seat.arrival && this.hasPlace(name))
    assert.deepEqual(earlier, [], 'overtook')
    seat.slot = slot
  }

  private check(): void {
    assert.equal(this.control.active, this.active().length)
    assert.equal(this.control.waiting, this.waiting().length)
    for (const { name } of this.waiting()) assert.ok(!this.hasPlace(name), `${name} waits while a place is free`)
  }

  private hasPlace(name: string): boolean {
    const limit = this.limits.get(name) ?? 0
    const nodeHas = this.maxTasks === 0 || this.active().length < this.maxTasks
    return nodeHas && (limit === 0 || this.active(name).length < limit)
  }

  private active(name?: string): Seat[] {
    return this.seats.filter((seat) => seat.slot && !seat.released && (!name || seat.name === name))
  }

  private waiting(name?: string): Seat[] {
    return this.seats.filter((seat) => !seat.slot && !seat.left && (!name || seat.name === name))
  }
}

describe('AdmissionControl, whatever the order of requests, releases, departures and new limits', () => {
  it('keeps every limit, serves in the order of arrival, loses no place and leaves none unused', () => {
    fc.assert(
      fc.property(
        fc.nat(5),
        fc.nat(6),
        fc.array(step, { maxLength: 80, size: 'max' }),
        (maxTasks, maxQueued, steps) => {
          const play = new Play(maxTasks, maxQueued)
          for (const step of steps) play.play(step)
          play.releaseAll()
        },
      ),
      { numRuns: 1_000 },
    )
  })
})
