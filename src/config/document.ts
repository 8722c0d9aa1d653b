import { FAILSAFE_SCHEMA, loadAll, YAMLException } from 'js-yaml'
import type * as z from 'zod'
import type { Variables } from './environment.js'
import { nearestKey } from './nearest-key.js'
import { type ConfigKey, KNOWN_KEYS, SECTIONS, type Settings, settingsSchema } from './schema.js'
import { placeOf, type Sources } from './sources.js'

/** The configuration is invalid: a line for each wrong value, with file and key, or variable, and what is allowed. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError'
  readonly code = 'CONFIG_INVALID'
}

type Section = Readonly<Record<string, unknown>>

/** Variables of shells, Compose files, templates (Ansible, Helm, Jinja) and Windows, and a shell's home. */
const VARIABLE = /\$\{\w+[^}]*\}|\$\(\w[^)]*\)|^\$[A-Z_]+$|^%[A-Z_]+%$|\{\{.*\}\}|<%.*%>|^~(?=\/)/
/** Typographic quotes at either end of a value; YAML does not know them. */
const CURLY = /^[\u2018-\u201f\u00ab\u00bb\uff02]|[\u2018-\u201f\u00ab\u00bb\uff02]$/
/** The file needs no aliases; the limit keeps a small file from expanding to a huge one. */
const MAX_ALIASES = 100

/** Parses and validates a configuration file, with variables in place of its keys. Throws ConfigError. */
export function readDocument(
  contents: Buffer,
  file: string,
  variables: Variables,
): { settings: Settings; warnings: string[] } {
  const document = withoutOldNames(withoutBlanks(parse(decode(contents, file), file)), file)
  refuseLiteral(document, { file, fromVariables: [] })
  const warnings = [...unknownKeys(document, file), ...variables.warnings]
  return readAll(document, file, variables, warnings)
}

/** Validates what variables give, without a file. Throws ConfigError. */
export function readWithoutFile(variables: Variables): { settings: Settings; warnings: string[] } {
  return readAll({}, undefined, variables, [...variables.warnings])
}

/** Validates keys as parsed from a file. Throws ConfigError. */
export function readSettings(document: unknown, sources: Sources): Settings {
  const result = settingsSchema.safeParse(document)
  if (result.success) return result.data
  throw new ConfigError(result.error.issues.map((issue) => describe(issue, document, sources)).join('\n'))
}

function readAll(document: unknown, file: string | undefined, { values }: Variables, warnings: string[]) {
  const sources = { ...(file !== undefined && { file }), fromVariables: [...values.keys()] }
  for (const [key, value] of values) refuseLiteral(value, sources, key.split('.'))
  try {
    return { settings: readSettings(withVariables(document, values), sources), warnings }
  } catch (error) {
    // An unknown key may be a misspelt required one.
    if (error instanceof ConfigError && warnings.length > 0) {
      throw new ConfigError([error.message, ...warnings].join('\n'), { cause: error })
    }
    throw error
  }
}

/** What is no section, where one must be, stays for its message. */
function withVariables(document: unknown, values: Variables['values']): unknown {
  if (!isSection(document)) return document
  let merged: Section = document
  for (const [key, value] of values) {
    const [first = '', second] = key.split('.')
    const inner = merged[first] ?? {}
    if (second === undefined) merged = { ...merged, [first]: value }
    else if (isSection(inner)) merged = { ...merged, [first]: { ...inner, [second]: value } }
  }
  return merged
}

/** Decodes UTF-8, or UTF-16 with a byte order mark, as editors and shells on Windows write it. */
function decode(contents: Buffer, name: string): string {
  const wide = wideEncoding(contents)
  if (wide) throw new ConfigError(`${name}: is ${wide}: save it as UTF-8`)
  const mark = contents.toString('latin1', 0, 2)
  const encoding = mark === '\xff\xfe' ? 'utf-16le' : mark === '\xfe\xff' ? 'utf-16be' : 'utf-8'
  let text: string
  try {
    text = new TextDecoder(encoding, { fatal: true }).decode(contents)
  } catch {
    const what = encoding === 'utf-8' ? 'is not UTF-8 text' : 'is UTF-16 that is cut off or damaged'
    throw new ConfigError(`${name}: ${what}: save it as UTF-8`)
  }
  const nul = text.indexOf('\0')
  if (nul === -1) return text
  const line = text.slice(0, nul).split('\n').length
  throw new ConfigError(`${name}:${line}: a NUL byte, as after a crash or in what is no text: write the file anew`)
}

/** Detects other wide encodings, by which bytes of each four are NUL in ASCII text. */
function wideEncoding(contents: Buffer): string | undefined {
  const start = contents.subarray(0, 4 * 256)
  const isNul = (place: number) => {
    const bytes = start.filter((_, at) => at % 4 === place)
    return bytes.filter((byte) => byte === 0).length > bytes.length / 2
  }
  const nuls = [0, 1, 2, 3].map((place) => (isNul(place) ? '0' : 'x')).join('')
  if (nuls === 'x000' || nuls === '000x') return 'UTF-32'
  const isMarked = /^(\xff\xfe|\xfe\xff)/.test(start.toString('latin1', 0, 2))
  return !isMarked && (nuls === 'x0x0' || nuls === '0x0x') ? 'UTF-16 without a byte order mark' : undefined
}

/** Refuses what other readers would expand or strip and this one does not: as it stands it is not what was meant. */
function refuseLiteral(value: unknown, sources: Sources, path: readonly string[] = []): void {
  const at = place(sources, path)
  if (isSection(value)) {
    for (const [inner, child] of Object.entries(value)) {
      if (inner === '<<')
        throw new ConfigError(`${place(sources, [...path, inner])}: keys are not merged; write them out here`)
      refuseLiteral(child, sources, [...path, inner])
    }
  } else if (Array.isArray(value)) {
    for (const child of value) refuseLiteral(child, sources, path)
  } else if (typeof value === 'string') {
    const quote = CURLY.exec(value.trim())?.[0]
    if (quote) {
      const what = `YAML takes ${quote}, as word processors write quotes, for a part of the value`
      throw new ConfigError(`${at}: ${what}; write " instead, or no quotes`)
    }
    const variable = VARIABLE.exec(value)?.[0]
    if (variable) throw new ConfigError(`${at}: ${variable} is not expanded; write the value itself`)
  }
}

/**
 * Reports only the reason and the line of a syntax error: the parser's message quotes the file, which may contain a
 * password.
 */
function parse(text: string, name: string): unknown {
  let documents: unknown[]
  try {
    documents = loadAll(text, { schema: FAILSAFE_SCHEMA, maxAliases: MAX_ALIASES })
  } catch (error) {
    if (!(error instanceof YAMLException)) throw new ConfigError(`${name}: is not YAML`)
    throw new ConfigError(syntaxProblem(text, error, name))
  }
  if (documents.length > 1) throw new ConfigError(`${name}: holds ${documents.length} YAML documents; allowed: one`)
  return documents[0] ?? {}
}

function syntaxProblem(text: string, { mark, reason }: YAMLException, name: string): string {
  const lines = text.split(/\r\n|\r|\n/)
  const at = (found: number, problem: string) => `${name}:${found + 1}: ${problem}`
  const template = lines.findIndex((line) => /^[^#]*:\s*(\{\{|\{%|<%)/.test(line))
  if (template !== -1) return at(template, 'a template that was not filled in: {{ and the like are not expanded')
  // The parser reports it only after that line.
  const joined = lines.findIndex((line) => /^\s*[a-z_]+[:=]\S/.test(line))
  if (mark && joined !== -1 && joined <= mark.line)
    return at(joined, 'no key and value: write KEY: VALUE, with a space behind the colon')
  return mark ? at(mark.line, reason) : `${name}: ${reason}`
}

/** A key without a value counts as absent. */
function withoutBlanks(value: unknown): unknown {
  if (!isSection(value)) return value
  const given = Object.entries(value).filter(([, inner]) => !(typeof inner === 'string' && /^(~|null|)$/.test(inner)))
  return Object.fromEntries(given.map(([key, inner]) => [key, withoutBlanks(inner)]))
}

/** The section `redis` was called `redis_tls` when it had only the keys for TLS. */
function withoutOldNames(document: unknown, name: string): unknown {
  if (!isSection(document) || document['redis_tls'] === undefined) return document
  const { redis_tls, redis, ...others } = document
  if (redis !== undefined) throw new ConfigError(`${name}: redis_tls: give its keys in the section redis`)
  return { ...others, redis: redis_tls }
}

function isSection(value: unknown): value is Section {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function describe(issue: z.core.$ZodIssue, document: unknown, sources: Sources): string {
  const at = place(sources, issue.path)
  const value = issue.path.reduce<unknown>((inner, step) => (inner as Section | undefined)?.[String(step)], document)
  // With a reason, the value is not quoted: it may contain a password.
  if (issue.code === 'custom' && issue.params?.['reason']) {
    return `${at}: ${issue.params['reason']}; allowed: ${issue.message}`
  }
  if (value === undefined) return `${at} is missing; allowed: ${issue.message}`
  return `${at}${issue.path.length === 0 ? '' : ':'} ${shown(value)} is not allowed; allowed: ${issue.message}`
}

/** Where the value at a path was given, for messages. */
function place(sources: Sources, path: readonly PropertyKey[]): string {
  if (path.length === 0) return `${sources.file}: the file`
  const [first = '', second] = path.map(String)
  const key = second !== undefined && first in SECTIONS ? join(first, second) : first
  return placeOf(sources, key as ConfigKey, path.join('.'))
}

/** A value for a message: without passwords and keys, on one line, short. */
function shown(value: unknown): string {
  if (Array.isArray(value)) return 'a list'
  if (typeof value !== 'string') return 'a section'
  if (value.includes('-----BEGIN')) return 'PEM text'
  const open = value.replace(/^([a-z]*:\/\/)?.*(?:@|\?|:\/\/:).*$/s, '$1***')
  return JSON.stringify(open.length > 100 ? `${open.slice(0, 100)}…` : open)
}

function unknownKeys(document: unknown, name: string): string[] {
  const everywhere = Object.entries(KNOWN_KEYS).flatMap(([section, keys]) => keysOf(section, keys))
  return Object.entries(KNOWN_KEYS).flatMap(([section, known]) => {
    const found = section === '' ? document : (document as Section)[section]
    const unknown = isSection(found) ? Object.keys(found).filter((key) => !known.includes(key)) : []
    const candidates = [...keysOf(section, known), ...everywhere]
    return unknown.map((key) => {
      const near = nearestKey(key, candidates)
      const hint = near ? `; did you mean "${near.path}"?` : ''
      return `${name}: unknown key ${JSON.stringify(join(section, key))} is ignored${hint}`
    })
  })
}

function keysOf(section: string, keys: readonly string[]) {
  return keys.map((key) => ({ key, path: join(section, key) }))
}

function join(section: string, key: string): string {
  return section === '' ? key : `${section}.${key}`
}
