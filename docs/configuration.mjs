// Writes configuration.md from the schema of the configuration, and what is said of its keys. Build first.
//   node docs/configuration.mjs            writes it
//   node docs/configuration.mjs --check    fails where it is stale
import { readFileSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { KEY_FACTS } from '../dist/src/config/key-facts.js'
import { allowedValues, SECTIONS } from '../dist/src/config/schema.js'

const PAGE = join(import.meta.dirname, 'configuration.md')
const TEMPLATE = readFileSync(join(import.meta.dirname, 'configuration.md.in'), 'utf8')
const UNITS = ['TiB', 'GiB', 'MiB', 'KiB']

const page = TEMPLATE.replace('@KEYS@', Object.entries(SECTIONS).map(table).join('\n\n'))
if (process.argv[2] !== '--check') writeFileSync(PAGE, page)
else if (readFileSync(PAGE, 'utf8') !== page) {
  console.error(`${resolve(PAGE)} is stale: npm run docs`)
  process.exitCode = 1
}

function table([section, shape]) {
  const keys = Object.keys(shape).filter((key) => !(key in SECTIONS))
  const title = section === '' ? 'At the top' : `In \`${section}\``
  return [
    `### ${title}`,
    '',
    '| key | what it is for | type, and what is allowed | default | a change takes |',
    '| --- | --- | --- | --- | --- |',
    ...keys.map((key) => row(section === '' ? key : `${section}.${key}`, shape[key])),
  ].join('\n')
}

function row(key, schema) {
  const { text, reloads, usual } = KEY_FACTS[key]
  const cells = [`\`${key}\``, text, allowedBy(schema), usual ?? defaultOf(schema), reloads ? 'reload' : 'restart']
  return `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`
}

/** Of the schema inside those that make it optional or give it a default. */
function allowedBy(schema) {
  const found = allowedValues.get(schema)
  if (found) return found.allowed
  return allowedBy(schema.def.innerType)
}

function defaultOf(schema) {
  const value = schema.def.defaultValue
  if (value === undefined) return 'none'
  const isSize = /^a size/.test(allowedBy(schema))
  return `\`${isSize ? sizeText(value) : Array.isArray(value) ? `[${value.join(', ')}]` : value}\``
}

function sizeText(bytes) {
  for (const [at, unit] of UNITS.entries()) {
    const factor = 2 ** (10 * (UNITS.length - at))
    if (bytes >= factor && bytes % factor === 0) return `${bytes / factor}${unit}`
  }
  return `${bytes}`
}
