/** What an archive may unpack to. */
export interface ArchiveLimits {
  readonly maxEntries: number
  /** All entries unpacked, bytes. */
  readonly maxBytes: number
  /** Unpacked size over packed size, of the whole archive. */
  readonly maxRatio: number
}
