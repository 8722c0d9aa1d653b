import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import type { FunctionConfig__Output } from '../../../src/generated/flux/FunctionConfig.js'
import {
  type Validated,
  validateArgs,
  validateExecutionId,
  validateFunction,
} from '../../../src/main/functions/validation.js'

const GOOD: FunctionConfig__Output = {
  name: 'hello',
  handler: 'bin/main.sh',
  cpu_millicores: 500,
  memory_mb: 128,
  timeout_seconds: 60,
  env: { GREETING: 'hello' },
  max_concurrency: 5,
  max_concurrency_behavior: 'wait',
}

const check = (changes: Partial<FunctionConfig__Output>) => validateFunction({ ...GOOD, ...changes })

function assertRefused(checked: Validated<unknown>, ...parts: string[]): void {
  const message = checked.ok ? 'accepted' : checked.message
  for (const part of parts) assert.ok(message.includes(part), `${JSON.stringify(part)} is not in: ${message}`)
}

describe('validateFunction', () => {
  it('takes every setting over', () => {
    assert.deepEqual(validateFunction(GOOD), {
      ok: true,
      value: {
        name: 'hello',
        handler: 'bin/main.sh',
        cpuMillicores: 500,
        memoryMb: 128,
        timeoutSeconds: 60,
        env: { GREETING: 'hello' },
        maxConcurrency: 5,
        maxConcurrencyBehavior: 'wait',
      },
    })
  })

  it('accepts the names that the pattern allows and no others', () => {
    const right = fc.stringMatching(/^[A-Za-z0-9._-]{0,130}$/)
    const any = fc.string({ unit: fc.constantFrom(...'aZ09._- /\\é\n\0'), maxLength: 10 })
    fc.assert(
      fc.property(fc.oneof(right, any), (name) => {
        const allowed = /^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/.test(name) && !name.endsWith('\n')
        assert.equal(check({ name }).ok, allowed)
      }),
      { numRuns: 1_000 },
    )
    for (const name of ['a', '9', 'A.b_c-d', 'a'.repeat(128), 'a..']) assert.equal(check({ name }).ok, true, name)
  })

  for (const name of ['', '.', '..', '-a', '_a', 'a/b', '../a', 'a b', 'a\n', 'é', 'a\0', 'a'.repeat(129)]) {
    it(`refuses the name ${JSON.stringify(name.slice(0, 10))}`, () => {
      assertRefused(check({ name }), 'function name', JSON.stringify(name).slice(0, -1).slice(0, 80), '1 to 128 of A-Z')
    })
  }

  for (const handler of [
    'main',
    'bin/main.sh',
    '.hidden',
    'a/..b',
    '...',
    'with space/ü',
    'C',
    `${'x/'.repeat(2047)}xx`,
  ]) {
    it(`accepts the handler ${handler.slice(0, 20)}`, () => assert.equal(check({ handler }).ok, true))
  }

  for (const [handler, hint] of [
    ['./bin/main.sh', '; did you mean "bin/main.sh"?'],
    ['bin\\main.sh', '; did you mean "bin/main.sh"?'],
    ['bin//./main.sh', '; did you mean "bin/main.sh"?'],
    ['../main.sh', ''],
    ['/main.sh', ''],
  ] as const) {
    it(`names what was probably meant by the handler ${handler}`, () => {
      const checked = check({ handler })
      assert.equal(checked.ok, false)
      const allowed = 'is not allowed; allowed: a relative path inside the archive, with / and without . or ..'
      assert.equal(
        !checked.ok && checked.message,
        `function hello: handler ${JSON.stringify(handler)} ${allowed}${hint}`,
      )
    })
  }

  for (const handler of [
    ...['', '.', '..', '/bin/sh', '../main', 'a/../../b', 'a/..', './main', 'a//b', 'a/'],
    ...['a\\b', '..\\b', 'C:/main', 'c:main', 'a\0b', 'x'.repeat(4097)],
  ]) {
    it(`refuses the handler ${JSON.stringify(handler.slice(0, 20))}`, () => {
      assertRefused(
        check({ handler }),
        'function hello: handler',
        JSON.stringify(handler.slice(0, 80)).slice(0, -1),
        'a relative path inside the archive',
      )
    })
  }

  const limits = {
    cpu_millicores: 1_024_000,
    memory_mb: 16_777_216,
    timeout_seconds: 2_147_483_647,
    max_concurrency: 1_000_000,
  }
  for (const [key, max] of Object.entries(limits)) {
    it(`accepts ${key} from 0 to ${max}`, () => {
      for (const value of [0, 1, max]) assert.equal(check({ [key]: value }).ok, true, `${value}`)
      for (const value of [-1, max + 1, -(2 ** 31), 2 ** 62]) {
        assertRefused(
          check({ [key]: value }),
          `function hello: ${key} ${value} is not allowed`,
          `0 (no limit) to ${max}`,
        )
      }
    })
  }

  for (const name of ['', 'A=B', '=', 'A\0B']) {
    it(`refuses the env name ${JSON.stringify(name)}`, () => {
      assertRefused(
        check({ env: { [name]: 'x' } }),
        `function hello: env name ${JSON.stringify(name)}`,
        'not empty, without = and NUL',
      )
    })
  }

  it('refuses a NUL in an env value and does not repeat the value, which may be a secret', () => {
    const refused = check({ env: { TOKEN: 'secret\0' } })
    assertRefused(refused, 'function hello: env TOKEN holds a NUL byte')
    assert.ok(!refused.ok && !refused.message.includes('secret'))
  })

  it('accepts variables up to what the system takes of one, and tells which is too long, without its value', {
    skip: process.platform !== 'linux',
  }, () => {
    assert.equal(check({ env: { TOKEN: 'x'.repeat(131_071 - 'TOKEN='.length) } }).ok, true)
    const refused = check({ env: { FINE: 'x', TOKEN: 'secret'.repeat(30_000) } })
    assertRefused(refused, 'function hello: env TOKEN is too long: 180006 bytes with its name; allowed: 131071')
    assert.ok(!refused.ok && !refused.message.includes('secret'))
    assertRefused(check({ env: { U: 'ü'.repeat(70_000) } }), 'env U is too long: 140002 bytes')
  })

  it('refuses variables that are too long together', { skip: process.platform !== 'linux' }, () => {
    const env = Object.fromEntries(Array.from({ length: 60 }, (_, n) => [`V${n}`, 'x'.repeat(120_000)]))
    assertRefused(check({ env }), 'function hello: env is too long: 72', 'bytes together; allowed: ')
  })

  it('accepts env values of any other kind', () => {
    assert.equal(check({ env: { lower: '', 'WITH SPACE': 'a=b\n', É: 'ü "quoted"' } }).ok, true)
  })

  for (const [word, behavior] of [
    ['', 'exit'],
    ['exit', 'exit'],
    ['wait', 'wait'],
  ] as const) {
    it(`takes the behaviour ${JSON.stringify(word)} as ${behavior}`, () => {
      const checked = check({ max_concurrency_behavior: word })
      assert.equal(checked.ok && checked.value.maxConcurrencyBehavior, behavior)
    })
  }

  for (const word of ['queue', 'Wait', ' exit', 'wait\n']) {
    it(`refuses the behaviour ${JSON.stringify(word)}`, () => {
      assertRefused(
        check({ max_concurrency_behavior: word }),
        'function hello: max_concurrency_behavior',
        JSON.stringify(word),
        'exit, wait or empty',
      )
    })
  }
})

describe('validateExecutionId', () => {
  it('accepts 1 to 200 printable ASCII characters without spaces and no others', () => {
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom(...'a!~ \x7f\x1f\né'), maxLength: 210, size: 'max' }), (id) => {
        assert.equal(
          validateExecutionId(id).ok,
          id.length >= 1 && id.length <= 200 && [...id].every((c) => c > ' ' && c <= '~'),
        )
      }),
      { numRuns: 1_000 },
    )
    for (const id of ['x', '!"#/\\{}~', 'x'.repeat(200)]) assert.equal(validateExecutionId(id).ok, true)
  })

  for (const id of ['', ' ', 'a b', 'a\n', '\t', 'é', 'a\0', '\x7f', 'x'.repeat(201)]) {
    it(`refuses ${JSON.stringify(id.slice(0, 10))}`, () => {
      assertRefused(
        validateExecutionId(id),
        'execution_id',
        JSON.stringify(id).slice(0, 10),
        '1 to 200 printable ASCII characters without spaces',
      )
    })
  }
})

describe('validateArgs', () => {
  it('accepts everything but NUL', () => {
    assert.equal(validateArgs([]).ok, true)
    assert.equal(validateArgs(['', '-x', '\n', '"', 'ü', '\x01']).ok, true)
  })

  it('tells which argument is too long', { skip: process.platform !== 'linux' }, () => {
    assert.equal(validateArgs(['x'.repeat(131_071)]).ok, true)
    assertRefused(validateArgs(['fine', 'x'.repeat(131_072)]), 'args[1] is too long: 131072 bytes; allowed: 131071')
  })

  it('tells which argument holds a NUL', () => {
    assertRefused(validateArgs(['fine', 'a\0']), 'args[1]', 'NUL')
  })
})
