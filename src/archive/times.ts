import { type CentralHeader, extraField, type Header } from './headers.js'

/** A file's modification time, as far as the archive gives it. */
export interface Modified {
  /** Seconds since 1970, UTC. */
  readonly seconds: number
  /** False: the maker's local time in steps of two seconds, read as UTC. */
  readonly exact: boolean
}

/** For entries without a valid time: the earliest time that DOS fields can express. */
const NONE = Date.UTC(1980, 0, 1) / 1000

/** Info-ZIP's extended timestamp: a byte of flags, then the modification time. */
const EXTENDED = 0x5455
/** Access and modification time, from Info-ZIP's first Unix field and the macOS Finder. */
const UNIX = 0x5855
/** NTFS field: attribute 1 has three times in steps of 100 ns since 1601. */
const NTFS = 0x000a
const NTFS_EPOCH = 11_644_473_600
const NTFS_STEPS = 10_000_000n

/**
 * An entry's time. Times without a zone are read as UTC, so that an archive unpacks the same on every node; Python's
 * bytecode, which needs the maker's clock, is handled in bytecode.ts.
 */
export function modifiedAt(archive: Buffer, central: CentralHeader, local: Header): Modified {
  const seconds = exactTime(archive, central) ?? exactTime(archive, local)
  return seconds === undefined ? { seconds: dosTime(central) ?? NONE, exact: false } : { seconds, exact: true }
}

function exactTime(archive: Buffer, header: Header): number | undefined {
  const extended = extraField(archive, header, EXTENDED)
  if (extended && extended.length >= 5 && ((extended[0] ?? 0) & 1) !== 0) return extended.readInt32LE(1)
  const unix = extraField(archive, header, UNIX)
  if (unix && unix.length >= 8) return unix.readInt32LE(4)
  const ntfs = extraField(archive, header, NTFS)
  if (ntfs && ntfs.length >= 16 && ntfs.readUInt16LE(4) === 1) {
    const steps = ntfs.readBigUInt64LE(8)
    if (steps > 0n) return Number(steps / NTFS_STEPS) - NTFS_EPOCH
  }
  return undefined
}

/** Undefined where the fields are no date, as when all bits are zero. */
function dosTime({ dosDate, dosTime }: Header): number | undefined {
  const month = (dosDate >> 5) & 15
  const day = dosDate & 31
  const hour = dosTime >> 11
  const minute = (dosTime >> 5) & 63
  const second = (dosTime & 31) * 2
  const date = new Date(Date.UTC(1980 + (dosDate >> 9), month - 1, day, hour, minute, second))
  const exists = date.getUTCMonth() === month - 1 && date.getUTCDate() === day && date.getUTCHours() === hour
  return exists && second < 60 && minute < 60 ? date.getTime() / 1000 : undefined
}
