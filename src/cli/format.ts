const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB']

/** Formats bytes, as in `12.5 MiB`. */
export function formatBytes(bytes: number): string {
  const power = bytes < 1024 ? 0 : Math.min(UNITS.length - 1, Math.floor(Math.log2(bytes) / 10))
  return `${(bytes / 1024 ** power).toFixed(power === 0 ? 0 : 1)} ${UNITS[power]}`
}

/** Formats a duration in its two largest units, as in `3m 20s`. */
export function formatDuration(milliseconds: number): string {
  const seconds = Math.max(0, Math.floor(milliseconds / 1000))
  const parts = {
    d: Math.floor(seconds / 86_400),
    h: Math.floor(seconds / 3600) % 24,
    m: Math.floor(seconds / 60) % 60,
  }
  const shown = [...Object.entries(parts), ['s', seconds % 60] as const].map(([unit, value]) => `${value}${unit}`)
  const first = shown.findIndex((part) => !part.startsWith('0'))
  return first < 0 ? '0s' : shown.slice(first, first + 2).join(' ')
}
