import { isIP } from 'node:net'
import * as z from 'zod'

/**
 * The kinds of values that keys have. Every scalar is parsed from its text as written: an id of digits keeps its zeros,
 * and a quoted number is a number. Each issue's message says what is allowed.
 */

export const MiB = 2 ** 20
export const GiB = 2 ** 30
/** The next ones stand for "none" (chown(2)), and for ids that do not fit. */
const LAST_UID = 4_294_967_293
const UNITS: Readonly<Record<string, number>> = { '': 1, B: 1, KiB: 2 ** 10, MiB, GiB, TiB: 2 ** 40 }

/** What each value's schema allows; shown in docs/configuration.md. */
export const allowedValues = z.registry<{ readonly allowed: string }>()

/** A key parsed from text; `read` answers undefined for invalid text. */
export function key<T>(allowed: string, read: (text: string) => T | undefined) {
  const schema = z.string(allowed).transform((text, context): T => {
    const value = read(text)
    if (value !== undefined) return value
    context.addIssue(allowed)
    return z.NEVER
  })
  return schema.register(allowedValues, { allowed })
}

export function matching(pattern: RegExp, allowed: string) {
  return key(allowed, (text) => (pattern.test(text) ? text : undefined))
}

export function oneOf<T extends string>(values: readonly T[]) {
  return key(`one of ${values.join(', ')}`, (text) => values.find((value) => value === text))
}

export function whole(min: number, max: number) {
  return key(`a whole number from ${min} to ${max}`, (text) => {
    const value = Number(text)
    return /^\d+$/.test(text) && value >= min && value <= max ? value : undefined
  })
}

/** Bytes, plain or with a binary unit. */
export function size(min: string, max: string) {
  const least = parseSize(min) ?? 0
  const most = parseSize(max) ?? 0
  return key(`a size from ${min} to ${max}, in bytes or with a unit as in 32MiB`, (text) => {
    const bytes = parseSize(text)
    return bytes !== undefined && bytes >= least && bytes <= most ? bytes : undefined
  })
}

function parseSize(text: string): number | undefined {
  const [, digits, unit = ''] = /^(\d+) ?([KMGT]iB|B|)$/.exec(text) ?? []
  const factor = UNITS[unit]
  return digits === undefined || factor === undefined ? undefined : Number(digits) * factor
}

/** User ids, as in /etc/subuid written with both ends. */
export function idRange(allowed: string) {
  return key(allowed, (text) => {
    const [, first, last] = /^(\d{1,10})-(\d{1,10})$/.exec(text) ?? []
    const range = { first: Number(first), last: Number(last) }
    return range.first > 0 && range.first <= range.last && range.last <= LAST_UID ? range : undefined
  })
}

export const flag = key('true or false', (text) => ({ true: true, false: false })[text.toLowerCase()])
export const ip = key('an IP address', (text) => (isIP(text) > 0 ? text : undefined))
export const folder = matching(/^[^\0]+$/, 'the path of a folder')
export const pemFile = matching(/^(?!.*-----BEGIN)[^\0\r\n]+$/, 'the path of a PEM file that the agent can read')
