import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { before, describe, it } from 'node:test'
import { makeTempDir } from '../../../harness/agent.js'
import { createProgram } from '../../../src/cli/program.js'
import { debOf, unpack, without } from './packages.js'

const { commands } = createProgram()

describe('what the package says of the command', { skip: without('dpkg-deb') }, () => {
  const tree = makeTempDir('flux-deb-')
  before(() => unpack(debOf('amd64'), tree))

  describe('the man page', { skip: without('man') }, () => {
    let page: string
    before(() => {
      const file = join(tree, 'usr/share/man/man1/flux-agent.1.gz')
      const { stdout, stderr } = spawnSync('man', ['--local-file', '--warnings', file], {
        encoding: 'utf8',
        env: { ...process.env, MANWIDTH: '1000', MAN_KEEP_FORMATTING: '', LC_ALL: 'C.UTF-8' },
      })
      assert.equal(stderr, '')
      page = stdout
    })

    it('has every command with its options and what they do', () => {
      for (const command of commands) {
        assert.match(page, new RegExp(`^ +flux-agent ${command.name()}\\b`, 'm'))
        for (const { flags, description } of command.options) {
          assert.ok(page.includes(flags.replace(/[<>]/g, '')), `${command.name()}: ${flags}`)
          assert.ok(page.replace(/\s+/g, ' ').includes(description), `${command.name()}: ${description}`)
        }
      }
    })

    it('has the sections of a daemon', () => {
      const sections = page.match(/^[A-Z].*$/gm)?.slice(1)
      const expected = ['NAME', 'SYNOPSIS', 'DESCRIPTION', 'COMMANDS', 'WHICH AGENT', 'FILES', 'ENVIRONMENT', 'SIGNALS']
      assert.deepEqual(sections, [...expected, 'EXIT STATUS', 'SEE ALSO'])
    })
  })

  describe('the completion', { skip: without('bash') }, () => {
    it('offers the commands', () => {
      assert.deepEqual(complete('s').sort(), ['start', 'status', 'stop'])
      for (const command of commands) assert.ok(complete('').includes(command.name()))
    })

    it('offers all options of a command, and no others', () => {
      for (const command of commands) {
        const options = command.options.map(({ long }) => long ?? '')
        assert.deepEqual(complete(command.name(), '--').sort(), [...options, '--help'].sort())
      }
    })

    it('offers files where a file is meant, and nothing where only the caller knows', () => {
      const folder = makeTempDir('flux-completion-')
      writeFileSync(join(folder, 'agent.yaml'), '')
      assert.deepEqual(complete('start', '--config', join(folder, 'a')), [join(folder, 'agent.yaml')])
      assert.deepEqual(complete('deploy', 'hello', join(folder, 'a')), [join(folder, 'agent.yaml')])
      assert.deepEqual(complete('deploy', '--timeout', join(folder, 'a')), [])
      assert.deepEqual(complete('cancel', join(folder, 'a')), [])
    })

    /** What bash offers for the last of these words, asked as readline asks. */
    function complete(...words: readonly string[]): string[] {
      const script = `
        . "$0"
        [[ $(complete -p flux-agent) =~ -F\\ ([^ ]+) ]] || exit
        compopt() { :; } # It only works while readline completes.
        COMP_WORDS=(flux-agent "$@") COMP_CWORD=$#
        "\${BASH_REMATCH[1]}" && printf '%s\\n' "\${COMPREPLY[@]}"`
      const file = join(tree, 'usr/share/bash-completion/completions/flux-agent')
      const { status, stdout, stderr } = spawnSync('bash', ['-c', script, file, ...words], { encoding: 'utf8' })
      assert.equal(status, 0, stderr)
      return stdout.split('\n').filter((word) => word !== '')
    }
  })
})
