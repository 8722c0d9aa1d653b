// Makes TypeScript of the header of the launcher's protocol, so that each number stands in one place. From
//
//     #define NAME 1               export const NAME = 1
//     enum name { NAME = 1, … }    the same for each, and export type Name = 1 | …
//     struct name { … }            export const NAME_BYTES, its size, and NAME_AT, the offset of each field
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { fail } from './run.mjs'

const HEADER = 'native/launcher/protocol.h'
const OUTPUT = 'src/generated/native/launcher-protocol.ts'
const SIZES = { uint16_t: 2, uint32_t: 4, int32_t: 4, uint64_t: 8 }

process.chdir(resolve(import.meta.dirname, '..'))
mkdirSync(dirname(OUTPUT), { recursive: true })
writeFileSync(OUTPUT, translate(readFileSync(HEADER, 'utf8')))

function translate(header) {
  const code = header.replaceAll(/\/\*[\s\S]*?\*\//g, '')
  const defines = [...code.matchAll(/^#define (\w+) (.+)$/gm)].map(([, name, value]) => constant(name, value))
  const enums = [...code.matchAll(/^enum (\w+) \{([^}]*)\};/gm)].map(([, name, body]) => enumeration(name, body))
  const structs = [...code.matchAll(/^struct (\w+) \{([^}]*)\};/gm)].map(([, name, body]) => layout(name, body, code))
  return [`// Made of ${HEADER} by scripts/launcher-protocol.mjs.\n`, defines.join(''), ...enums, ...structs].join('\n')
}

function enumeration(name, body) {
  const members = parts(body, ',', /^(\w+) = (\d+)$/)
  const constants = members.map(([member, value]) => constant(member, value))
  const values = members.map(([, value]) => value)
  return `${constants.join('')}export type ${pascal(name)} = ${values.join(' | ')}\n`
}

/** The header asserts the size, and so that there are no gaps between the fields. */
function layout(name, body, code) {
  let size = 0
  const offsets = []
  for (const [type, field] of parts(body, ';', /^(u?int\d+_t) (\w+)$/)) {
    offsets.push(`  ${field}: ${size},\n`)
    size += SIZES[type] ?? fail(`${HEADER}: the size of ${type} is not known`)
  }
  if (!code.includes(`_Static_assert(sizeof(struct ${name}) == ${size},`))
    fail(`${HEADER} does not assert that struct ${name} has ${size} bytes`)
  const prefix = name.toUpperCase()
  return `${constant(`${prefix}_BYTES`, size)}export const ${prefix}_AT = {\n${offsets.join('')}} as const\n`
}

/** Splits a text at separators, and parses each part by a pattern that must match all of it. */
function parts(body, separator, pattern) {
  const texts = body.split(separator).map((text) => text.trim())
  return texts
    .filter((text) => text !== '')
    .map((text) => pattern.exec(text)?.slice(1) ?? fail(`${HEADER}: cannot make TypeScript of "${text}"`))
}

function constant(name, value) {
  if (!/^\d+$/.test(value)) fail(`${HEADER}: ${name} is not a plain number: ${value}`)
  return `export const ${name} = ${value}\n`
}

function pascal(name) {
  return name.replaceAll(/(?:^|_)(\w)/g, (_, letter) => letter.toUpperCase())
}
