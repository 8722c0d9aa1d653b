import type { EndCause } from '../../os/platform.js'

/** Why an execution ends. The first cause wins, including the process's own end; later ones have no effect. */
export class Ending {
  private decided = false
  private won: EndCause | undefined
  private act: ((cause: EndCause) => void) | undefined

  /** The cause that won; undefined while it runs, and where its process ended by itself. */
  get cause(): EndCause | undefined {
    return this.won
  }

  /** Ends the execution for this cause, unless its end is already decided. */
  end(cause: EndCause): void {
    if (this.decided) return
    this.decided = true
    this.won = cause
    this.act?.(cause)
  }

  /** The process has ended by itself or will never begin: no cause can win any more. */
  close(): void {
    this.decided = true
  }

  /** Sets what ending does from now on; done at once where a cause has won already. */
  whenCaused(act: (cause: EndCause) => void): void {
    this.act = act
    if (this.won) act(this.won)
  }
}
