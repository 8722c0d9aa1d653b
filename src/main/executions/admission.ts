import type { ConcurrencyBehavior } from '../../store/function.js'

/** The right of one execution to run, counted for its function and for the node. */
export interface Slot {
  /** Gives the slot back. Idempotent. */
  release(): void
}

/** A place in the queue. */
export interface Ticket {
  /** Leaves the queue. No effect once the slot was granted. */
  leave(): void
}

export type Admission =
  | { readonly kind: 'admitted'; readonly slot: Slot }
  | { readonly kind: 'queued'; readonly ticket: Ticket }
  | { readonly kind: 'full' }
  | { readonly kind: 'closed' }

interface Waiter {
  readonly arrival: number
  readonly granted: (slot: Slot) => void
}

/** The executions of one function. */
interface Account {
  active: number
  /** 0: no limit. */
  limit: number
  /** In order of arrival; a Set preserves it and removes any waiter at once. */
  readonly waiting: Set<Waiter>
}

/**
 * Counts executions against the limits of their function and of the node. Without a free slot an execution is refused
 * or queued, as its function configures; slots go to queued executions in order of arrival. Synchronous, so that two
 * callers never get one slot. Main thread only.
 */
export class AdmissionControl {
  private readonly accounts = new Map<string, Account>()
  /** Accounts with waiters. */
  private readonly queues = new Set<Account>()
  private activeCount = 0
  private waitingCount = 0
  private arrivals = 0
  private isClosed = false

  constructor(
    private maxActive: number,
    private maxQueued: number,
  ) {}

  /** The most executions that may hold a slot at once, over all functions. 0: no limit. */
  get maxTasks(): number {
    return this.maxActive
  }

  /** The most executions that may wait for a slot, over all functions. */
  get maxWaiting(): number {
    return this.maxQueued
  }

  /** Executions that hold a slot. */
  get active(): number {
    return this.activeCount
  }

  /** Executions that wait for a slot. */
  get waiting(): number {
    return this.waitingCount
  }

  /** Sets the node's limits. Slots and places in the queue stay, even beyond them. */
  limitNode(maxTasks: number, maxQueued: number): void {
    this.maxActive = maxTasks
    this.maxQueued = maxQueued
    this.serveWaiting()
  }

  /** Answers `closed` to every request from now on; who waits already gets a slot as before. */
  close(): void {
    this.isClosed = true
  }

  /** Ends `close`. */
  open(): void {
    this.isClosed = false
  }

  /** Sets how many executions of a function may hold slots at once; 0: no limit. */
  limit(name: string, maxConcurrency: number): void {
    this.account(name).limit = maxConcurrency
    this.serveWaiting()
  }

  /**
   * Asks for a slot. `granted` is called later, once, if the answer is `queued` and the ticket is not given up before.
   */
  request(name: string, behavior: ConcurrencyBehavior, granted: (slot: Slot) => void): Admission {
    if (this.isClosed) return { kind: 'closed' }
    const account = this.account(name)
    // A new execution must not overtake those that wait.
    const free = this.hasPlace(account) && account.waiting.size === 0
    if (free) return { kind: 'admitted', slot: this.take(account) }
    if (behavior === 'exit' || this.waitingCount >= this.maxQueued) return { kind: 'full' }
    const waiter = { arrival: this.arrivals++, granted }
    account.waiting.add(waiter)
    this.queues.add(account)
    this.waitingCount++
    return { kind: 'queued', ticket: { leave: () => void this.dequeue(account, waiter) } }
  }

  /** A slot for an execution that runs already, even beyond the limits. */
  occupy(name: string): Slot {
    return this.take(this.account(name))
  }

  private dequeue(account: Account, waiter: Waiter): void {
    if (!account.waiting.delete(waiter)) return
    this.waitingCount--
    if (account.waiting.size === 0) this.queues.delete(account)
  }

  private account(name: string): Account {
    let account = this.accounts.get(name)
    if (!account) {
      account = { active: 0, limit: 0, waiting: new Set() }
      this.accounts.set(name, account)
    }
    return account
  }

  private hasPlace(account: Account): boolean {
    const nodeHas = this.maxActive === 0 || this.activeCount < this.maxActive
    return nodeHas && (account.limit === 0 || account.active < account.limit)
  }

  private take(account: Account): Slot {
    account.active++
    this.activeCount++
    let held = true
    return {
      release: () => {
        if (!held) return
        held = false
        account.active--
        this.activeCount--
        this.serveWaiting()
      },
    }
  }

  /** Grants free slots, first to the longest waiter whose function has one. */
  private serveWaiting(): void {
    while (this.waitingCount > 0) {
      const next = this.nextInLine()
      if (!next) return
      this.dequeue(next.account, next.waiter)
      next.waiter.granted(this.take(next.account))
    }
  }

  private nextInLine(): { account: Account; waiter: Waiter } | undefined {
    let first: { account: Account; waiter: Waiter } | undefined
    for (const account of this.queues) {
      if (!this.hasPlace(account)) continue
      const [waiter] = account.waiting
      if (waiter && (!first || waiter.arrival < first.waiter.arrival)) first = { account, waiter }
    }
    return first
  }
}
