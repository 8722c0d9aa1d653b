import { CAUSE_OWN, CAUSE_TIMEOUT } from '../../../generated/native/launcher-protocol.js'
import type { EndCause } from '../../platform.js'

/** Causes as the launcher keeps them: see protocol.h. Launchers outlive their agent, so no number changes its meaning. */
const NUMBERS: Readonly<Record<EndCause, number>> = {
  timeout: CAUSE_TIMEOUT,
  cancelled: CAUSE_OWN,
  hangup: CAUSE_OWN + 1,
  stopped: CAUSE_OWN + 2,
}

const CAUSES = new Map(Object.entries(NUMBERS).map(([cause, number]) => [number, cause as EndCause]))

export function causeNumber(cause: EndCause): number {
  return NUMBERS[cause]
}

/** Undefined for none. */
export function causeOf(number: number): EndCause | undefined {
  return CAUSES.get(number)
}
