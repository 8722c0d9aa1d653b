/** The slots of a Redis Cluster, by its specification ("Key distribution model", "Hash tags"). */

export const SLOTS = 16_384
/** CRC-16 of XMODEM. */
const POLYNOMIAL = 0x1021

const TABLE = Uint16Array.from({ length: 256 }, (_, byte) => {
  let crc = byte << 8
  for (let bit = 0; bit < 8; bit++) crc = crc & 0x8000 ? (crc << 1) ^ POLYNOMIAL : crc << 1
  return crc
})

const extended = (crc: number, byte: number) => ((crc << 8) & 0xffff) ^ (TABLE[(crc >> 8) ^ byte] as number)

/** What stands between a key's first `{` and the `}` that follows; undefined where nothing does. */
export function hashTag(key: string): string | undefined {
  return /^[^{]*\{([^}]+)\}/.exec(key)?.[1]
}

export function slotOf(key: string): number {
  let crc = 0
  for (const byte of Buffer.from(hashTag(key) ?? key)) crc = extended(crc, byte)
  return crc % SLOTS
}

let tags: string[] | undefined

/** The least number whose digits are in that slot. */
export function tagOf(slot: number): string {
  tags ??= allTags()
  return tags[slot] as string
}

/** Takes a few milliseconds. */
function allTags(): string[] {
  const found: string[] = new Array(SLOTS)
  // By number; that of a longer number goes on where the one without its last digit ends.
  const crcs: number[] = []
  for (let number = 0, left = SLOTS; left > 0; number++) {
    const start = number < 10 ? 0 : (crcs[Math.floor(number / 10)] as number)
    const crc = extended(start, 48 + (number % 10))
    crcs.push(crc)
    if (found[crc % SLOTS] !== undefined) continue
    found[crc % SLOTS] = String(number)
    left--
  }
  return found
}
