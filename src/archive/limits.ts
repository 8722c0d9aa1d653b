/** What an archive may unpack to. */
export interface ArchiveLimits {
  readonly maxEntries: number
  /** Sum of all unpacked sizes, bytes. */
  readonly maxBytes: number
  /** Unpacked size divided by packed size, for the whole archive. */
  readonly maxRatio: number
}
