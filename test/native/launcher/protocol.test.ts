import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { makeTempDir } from '../../../harness/agent.js'
import * as protocol from '../../../src/generated/native/launcher-protocol.js'
import { noCompiler } from './builds.js'

const ROOT = fileURLToPath(new URL('../../../../', import.meta.url))
const HEADER = 'native/launcher/protocol.h'
const OUTPUT = 'src/generated/native/launcher-protocol.ts'

/** By names: the numbers that TypeScript has. Those of NAME_AT.field are offsets. */
function numbers(): Map<string, number> {
  const all = new Map<string, number>()
  for (const [name, value] of Object.entries(protocol)) {
    if (typeof value === 'number') all.set(name, value)
    else for (const [field, offset] of Object.entries<number>(value)) all.set(`${name}.${field}`, offset)
  }
  return all
}

/** The same number, as the C compiler has it. */
function inC(name: string): string {
  const [, struct = '', field] = /^(\w+)_(?:AT\.(\w+)|BYTES)$/.exec(name) ?? []
  if (field) return `offsetof(struct ${struct.toLowerCase()}, ${field})`
  return struct ? `sizeof(struct ${struct.toLowerCase()})` : name
}

describe('the protocol in TypeScript', () => {
  it('has the numbers, sizes and offsets of the header', { skip: noCompiler }, () => {
    const dir = makeTempDir('flux-agent-protocol-')
    const expected = numbers()
    assert.ok(expected.size > 80)
    const lines = [...expected.keys()].map((name) => `printf("%lld\\n", (long long)${inC(name)});`)
    const source = `#include <stdio.h>\n#include "${join(ROOT, HEADER)}"\nint main(void) { ${lines.join('\n')} }\n`
    writeFileSync(join(dir, 'print.c'), source)
    execFileSync(process.env['CC'] ?? 'cc', ['-o', join(dir, 'print'), join(dir, 'print.c')], { stdio: 'pipe' })
    const printed = execFileSync(join(dir, 'print'), { encoding: 'utf8' }).trim().split('\n').map(Number)
    assert.deepEqual(new Map([...expected.keys()].map((name, i) => [name, printed[i]])), expected)
  })

  const header = readFileSync(join(ROOT, HEADER), 'utf8')

  function generate(changed: string) {
    const dir = makeTempDir('flux-agent-protocol-')
    cpSync(join(ROOT, 'scripts'), join(dir, 'scripts'), { recursive: true })
    mkdirSync(dirname(join(dir, HEADER)), { recursive: true })
    writeFileSync(join(dir, HEADER), changed)
    const { status, stderr } = spawnSync(process.execPath, ['scripts/launcher-protocol.mjs'], {
      cwd: dir,
      encoding: 'utf8',
    })
    return { status, stderr, dir }
  }

  it('follows a change of the header', () => {
    const { dir, stderr } = generate(header.replace('STEP_EXEC = 14,', 'STEP_EXEC = 14,\n\tSTEP_NEW = 99,'))
    assert.equal(stderr, '')
    assert.match(
      readFileSync(join(dir, OUTPUT), 'utf8'),
      /^export const STEP_NEW = 99\n(?:.*\n)*export type Step = .* \| 14 \| 99 \| 15/m,
    )
  })

  const refused: readonly [string, (text: string) => string, RegExp][] = [
    [
      'a struct whose size is not asserted',
      (text) => text.replace('uint32_t groups;', 'uint32_t groups;\n\tuint32_t more;'),
      /protocol\.h does not assert that struct start_request has 76 bytes/,
    ],
    [
      'a member of an enum without a number',
      (text) => text.replace('STEP_EXEC = 14,', 'STEP_EXEC,'),
      /protocol\.h: cannot make TypeScript of "STEP_EXEC"/,
    ],
    [
      'a field of another type',
      (text) => text.replace('uint32_t groups;', 'unsigned long groups;'),
      /protocol\.h: cannot make TypeScript of "unsigned long groups"/,
    ],
    [
      'a constant that has to be calculated',
      (text) => text.replace('8388608', '(8u << 20)'),
      /protocol\.h: PAYLOAD_MAX is not a plain number: \(8u << 20\)/,
    ],
  ]
  for (const [what, change, message] of refused) {
    it(`is not made of ${what}`, () => {
      const { status, stderr } = generate(change(header))
      assert.equal(status, 1)
      assert.match(stderr, message)
    })
  }
})
