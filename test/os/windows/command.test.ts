import assert from 'node:assert/strict'
import { test } from 'node:test'
import { batchCommand } from '../../../src/os/windows/batch.js'
import { commandOf, handlerProblem } from '../../../src/os/windows/command.js'

const FLAGS = ['/d', '/e:ON', '/v:OFF', '/s', '/c']

test('a handler is started by what its ending means, in any case', () => {
  const cmd = 'C:\\Windows\\System32\\cmd.exe'
  const powershell = 'C:\\Windows\\System32\\WindowsPowerShell\\v1.0\\powershell.exe'
  const start = (name: string) => {
    const command = commandOf(name, ['x'])
    return command.kind === 'command' ? [command.file, command.args.at(-1), command.verbatim] : command
  }
  assert.deepEqual(start('a.exe'), ['a.exe', 'x', false])
  assert.deepEqual(start('a.CMD'), [cmd, '"a.CMD x"', true])
  assert.deepEqual(start('a.bat'), [cmd, '"a.bat x"', true])
  assert.deepEqual(start('a.ps1'), [powershell, 'x', false])
  for (const name of ['a.js', 'a.mjs', 'a.cjs']) assert.deepEqual(start(name), [process.execPath, 'x', false])
})

test('another ending is refused with those that are allowed', () => {
  assert.equal(handlerProblem('bin/main.Exe'), undefined)
  assert.match(handlerProblem('main.sh') ?? '', /ends in \.sh.*allowed: \.exe, \.cmd/)
  assert.match(handlerProblem('main') ?? '', /has no ending/)
  assert.match(handlerProblem('exe') ?? '', /has no ending/)
  assert.equal(commandOf('main', []).kind, 'impossible')
})

for (const [arg, quoted] of [
  ['plain-1.txt', 'plain-1.txt'],
  ['', '""'],
  ['a b', '"a b"'],
  ['a&b|c<d>e^f', '"a&b|c<d>e^f"'],
  ['!OS!', '"!OS!"'],
  ['%OS%', '"%%cd:~,%OS%%cd:~,%"'],
  ['"', '""""'],
  ['a"&calc&"', '"a""&calc&"""'],
  ['\\', '"\\\\"'],
  ['a\\\\"b', '"a\\\\\\\\""b"'],
] as const) {
  test(`cmd.exe is given ${JSON.stringify(arg)} as text`, () => {
    assert.deepEqual(batchCommand('C:\\f.cmd', [arg]), { kind: 'command', args: [...FLAGS, `"C:\\f.cmd ${quoted}"`] })
  })
}

test('what cmd.exe cannot be given is refused', () => {
  for (const arg of ['a\nb', '\r']) assert.match(JSON.stringify(batchCommand('f.cmd', [arg])), /line break/)
  assert.match(JSON.stringify(batchCommand('f.cmd', ['x'.repeat(8191)])), /at most 8191/)
})
