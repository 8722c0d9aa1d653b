import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { before, describe, it } from 'node:test'
import { makeTempDir } from '../../../harness/agent.js'
import { VERSION } from '../../../src/version.js'
import { debOf, unpack, without } from './packages.js'

/** Where Debian's cross compilers have the libraries of that system. */
const LIBRARIES = '/usr/aarch64-linux-gnu'

describe('the package for arm64, on an emulated processor', {
  skip: without('qemu-aarch64-static', 'dpkg-deb'),
}, () => {
  const home = join(makeTempDir('flux-arm64-'), 'usr/lib/flux-agent')
  before(() => unpack(debOf('arm64'), join(home, '../../..')))

  it('runs its Node', () => {
    assert.match(emulated('bin/node', '--version'), /^v26\./)
  })

  it('runs the command', () => {
    assert.equal(emulated('bin/node', join(home, 'dist/agent/cli/index.js'), '--version'), `${VERSION}\n`)
  })

  it('loads the embedded store', () => {
    const program = `const db = require('lmdb').open('${join(home, 'store')}'); db.putSync('key', 'value'); console.log(db.get('key'))`
    const stored = emulated('bin/node', '--eval', `process.chdir('${home}'); ${program}`)
    assert.equal(stored, 'value\n')
  })

  it('has a launcher that says it is there, and ends with its input', () => {
    assert.notEqual(emulated('dist/native/launcher'), '')
  })

  function emulated(program: string, ...args: readonly string[]): string {
    const path = `LD_LIBRARY_PATH=${join(home, 'lib')}`
    const { status, stdout, stderr } = spawnSync(
      'qemu-aarch64-static',
      ['-L', LIBRARIES, '-E', path, join(home, program), ...args],
      { cwd: home, encoding: 'utf8', input: '', timeout: 120_000 },
    )
    assert.equal(status, 0, stderr)
    return stdout
  }
})
