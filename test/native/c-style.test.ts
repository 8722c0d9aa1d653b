import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { cpSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeEach, describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { makeTempDir } from '../../harness/agent.js'

const ROOT = fileURLToPath(new URL('../../../', import.meta.url))
const GOOD = '#include <stdio.h>\n\nint main(void)\n{\n\treturn puts("good") < 0;\n}\n'
const FOUND = '#include <stddef.h>\n\nint main(void)\n{\n\tint *nothing = NULL;\n\treturn *nothing;\n}\n'
const missing = ['clang-format', 'clang-tidy'].filter((tool) => spawnSync(tool, ['--version']).error)
const skip =
  process.platform !== 'linux' ? 'for Linux' : missing.length > 0 ? `${missing.join(' and ')} is not installed` : false

describe('the check of C', () => {
  let project: string

  beforeEach(() => {
    project = makeTempDir('flux-agent-c-style-')
    for (const path of ['scripts', '.clang-format', '.clang-tidy'])
      cpSync(join(ROOT, path), join(project, path), { recursive: true })
    mkdirSync(join(project, 'native'))
  })

  function cStyle(task: string, variables: NodeJS.ProcessEnv = {}) {
    const { CI: _ci, ...env } = process.env
    const script = join(project, 'scripts/c-style.mjs')
    return spawnSync(process.execPath, [script, task], { env: { ...env, ...variables }, encoding: 'utf8' })
  }

  function write(source: string): void {
    writeFileSync(join(project, 'native/program.c'), source)
  }

  it('looks once at a file in which nothing is wrong', { skip }, () => {
    write(GOOD)
    const first = cStyle('check')
    assert.deepEqual([first.status, first.stdout], [0, 'C files that clang-tidy checks: 1\n'], first.stderr)
    const second = cStyle('check')
    assert.deepEqual([second.status, second.stdout, second.stderr], [0, '', ''])
  })

  it('fails each time for what clang-tidy finds', { skip }, () => {
    write(FOUND)
    for (let i = 0; i < 2; i++) {
      const { status, stderr } = cStyle('check')
      assert.equal(status, 1)
      assert.match(stderr, /program\.c:6:9: error: Dereference of null pointer/)
    }
  })

  it('fails for another format, which `format` fixes', { skip }, () => {
    write(GOOD.replace('\treturn', '    return'))
    const { status, stderr } = cStyle('check')
    assert.equal(status, 1)
    assert.match(stderr, /native\/program\.c:4:2: error: code should be clang-formatted/)
    assert.equal(cStyle('format').status, 0)
    assert.equal(cStyle('check').status, 0)
  })

  it('names a tool that is missing, and goes on', { skip: process.platform !== 'linux' && 'for Linux' }, () => {
    write(FOUND)
    const { status, stdout } = cStyle('check', { PATH: project })
    assert.equal(status, 0)
    assert.equal(
      stdout,
      'clang-format is not installed: the format of C is not checked\nclang-tidy is not installed: C is not checked\n',
    )
  })
})
