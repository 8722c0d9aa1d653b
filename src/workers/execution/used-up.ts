import type { ProcessEnd, Room, Sandboxes } from '../../os/platform.js'

/** What a function may keep, bytes. */
export type RoomBounds = Pick<Sandboxes, 'tmpBytes' | 'diskBytes'>

const UNITS = ['TiB', 'GiB', 'MiB', 'KiB'] as const

/**
 * Which bounds the function had reached when it failed, as sentences without a full stop. `bounds`: those of this agent;
 * a process that it has taken over may have had others.
 */
export function usedUpSentences(functionName: string, end: ProcessEnd, bounds: RoomBounds | undefined): string[] {
  const { usedUp = [] } = end.kind === 'exited' || end.kind === 'killed' ? end : {}
  return usedUp.map((room) => `function ${functionName} has used up ${WHAT[room]}: ${boundOf(room, bounds)}`)
}

const WHAT: Record<Room, string> = { tmp: 'its temporary files', disk: 'what it may keep on disk' }

function boundOf(room: Room, bounds: RoomBounds | undefined): string {
  const key = room === 'tmp' ? 'functions.tmp_bytes' : 'functions.disk_bytes'
  const bytes = room === 'tmp' ? bounds?.tmpBytes : bounds?.diskBytes
  // What was bounded stays so where there is no bound any more.
  return bytes ? `${key} is ${sizeText(bytes)}` : `an earlier ${key} still bounds it`
}

/** As in agent.yaml: exact, with the largest unit that allows it. */
function sizeText(bytes: number): string {
  const power = [4, 3, 2, 1].find((power) => bytes % 1024 ** power === 0) ?? 0
  return `${bytes / 1024 ** power}${UNITS[4 - power] ?? ''}`
}
