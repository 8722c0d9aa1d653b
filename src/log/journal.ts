import { fstatSync } from 'node:fs'

const STDERR = 2

/** The levels of sd-daemon(3). */
const PRIORITIES: Readonly<Record<string, number>> = { debug: 7, info: 6, warn: 4, error: 3, fatal: 2 }

/** Whether standard error goes to systemd's journal (systemd.exec(5), JOURNAL_STREAM). */
export function isJournal(): boolean {
  const { JOURNAL_STREAM: stream } = process.env
  if (!stream) return false
  // Inode numbers may be larger than a double holds.
  const { dev, ino } = fstatSync(STDERR, { bigint: true })
  return stream === `${dev}:${ino}`
}

/** Prefixes every line of a text with its priority: the journal makes an entry of each. */
export function journalEntries(level: string, text: string): string {
  const prefix = `<${PRIORITIES[level]}>`
  return text.replace(/\n+$/, '').replace(/^/gm, prefix).concat('\n')
}
