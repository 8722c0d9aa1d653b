import type { EndCause } from '../../threads/messages.js'

/** Why an execution ends: the first cause wins, be it the process's own end, and the others come too late. */
export class Ending {
  private decided = false
  private won: EndCause | undefined
  private act: (() => void) | undefined

  /** The cause that won; undefined while it runs and where its process ended by itself. */
  get cause(): EndCause | undefined {
    return this.won
  }

  /** Ends the execution for this cause, unless its end is decided already. */
  end(cause: EndCause): void {
    if (this.decided) return
    this.decided = true
    this.won = cause
    this.act?.()
  }

  /** The process has ended by itself, or never will begin: no cause can win any more. */
  close(): void {
    this.decided = true
  }

  /** What ending means from now on; done at once where a cause has won already. */
  whenCaused(act: () => void): void {
    this.act = act
    if (this.won) act()
  }
}
