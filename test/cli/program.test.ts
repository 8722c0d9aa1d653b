import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { before, test } from 'node:test'
import { makeTempDir } from '../../harness/agent.js'
import { freePort } from '../../harness/free-port.js'
import { runCli } from '../support/cli.js'

const SUBCOMMANDS = ['start', 'deploy', 'exec', 'logs', 'cancel', 'ps', 'status', 'check-config', 'doctor']
const ONE_LINE = /^flux-agent: [^\n]+\n$/
let dir: string

before(() => {
  dir = makeTempDir('flux-agent-cli-')
})

test('--version is the one of package.json', async () => {
  const { version } = JSON.parse(readFileSync(new URL('../../../package.json', import.meta.url), 'utf8'))
  const { code, stdout } = await runCli(['--version'])
  assert.equal(code, 0)
  assert.equal(stdout.toString(), `${version}\n`)
})

test('--help lists every command, and each command has an example', async () => {
  const { code, stdout } = await runCli(['--help'])
  assert.equal(code, 0)
  for (const name of SUBCOMMANDS) assert.match(stdout.toString(), new RegExp(`^  ${name} `, 'm'))
  const helps = await Promise.all(SUBCOMMANDS.map((name) => runCli([name, '--help'])))
  for (const [index, help] of helps.entries()) {
    assert.equal(help.code, 0)
    assert.match(help.stdout.toString(), new RegExp(`Examples?:\\n .*flux-agent ${SUBCOMMANDS[index]} `, 's'))
  }
})

test('a mistyped command is answered with the one that was meant', async () => {
  const { code, stderr } = await runCli(['stauts'])
  assert.equal(code, 1)
  assert.match(stderr, /unknown command 'stauts'\n\(Did you mean status\?\)/)
})

test('where no agent answers, one line names the address and the fix', async (t) => {
  const address = `127.0.0.1:${await freePort()}`
  const commands = {
    ps: ['ps'],
    status: ['status'],
    cancel: ['cancel', 'x'],
    logs: ['logs', 'x'],
    follow: ['logs', '--follow', 'x'],
  }
  for (const [name, args] of Object.entries(commands)) {
    await t.test(name, async () => {
      const { code, stdout, stderr } = await runCli([...args, '--address', address], { cwd: dir })
      assert.equal(code, 1)
      assert.equal(stdout.length, 0)
      assert.match(stderr, ONE_LINE)
      assert.ok(stderr.includes(`no agent answers at ${address} (connect ECONNREFUSED`), stderr)
      assert.match(stderr, /`flux-agent start`.*`systemctl status flux-agent`/)
    })
  }
  await t.test('exec, whose own codes are the function’s', async () => {
    const { code, stderr } = await runCli(['exec', '--address', address, 'f'], { cwd: dir })
    assert.equal(code, 125)
    assert.match(stderr, ONE_LINE)
  })
})

test('the address comes from --address, FLUX_AGENT_ADDRESS, agent.yaml and the default, in that order', async () => {
  const [flag, variable, configured] = [await freePort(), await freePort(), await freePort()]
  const folder = makeTempDir('flux-agent-cli-')
  const env = { FLUX_AGENT_ADDRESS: `127.0.0.1:${variable}` }
  const asked = async (args: string[], options: Parameters<typeof runCli>[1]) =>
    /answers at (\S+)/.exec((await runCli(['ps', ...args], options)).stderr)?.[1]

  writeFileSync(join(folder, 'agent.yaml'), `agent_id: a\nhost: 0.0.0.0\nport: "${configured}"\n`)
  assert.equal(await asked(['--address', `127.0.0.1:${flag}`], { cwd: folder, env }), `127.0.0.1:${flag}`)
  assert.equal(await asked([], { cwd: folder, env }), `127.0.0.1:${variable}`)
  assert.equal(await asked([], { cwd: folder }), `127.0.0.1:${configured}`)
  assert.equal(await asked(['--config', join(folder, 'agent.yaml')], { cwd: dir }), `127.0.0.1:${configured}`)
})

test('what cannot be understood is said in one line', async (t) => {
  const cases: Record<string, [args: string[], message: RegExp]> = {
    'an address without a port': [['ps', '--address', 'localhost'], /address "localhost" is not HOST:PORT, as in /],
    'a configuration that is not there': [['ps', '--config', 'none.yaml'], /none\.yaml: cannot be read/],
    'half of the TLS options': [['ps', '--ca', 'ca.pem'], /pass --ca, --cert and --key together/],
    'a certificate that is not there': [
      ['ps', '--ca', 'a.pem', '--cert', 'b.pem', '--key', 'c.pem'],
      /cannot read a\.pem: ENOENT/,
    ],
  }
  for (const [name, [args, message]] of Object.entries(cases)) {
    await t.test(name, async () => {
      const { code, stderr } = await runCli(args, { cwd: dir })
      assert.equal(code, 1)
      assert.match(stderr, ONE_LINE)
      assert.match(stderr, message)
    })
  }
})

test('options that need a number or a pair refuse anything else', async () => {
  const number = await runCli(['deploy', 'f', dir, '--memory-mb', '1.5'])
  assert.match(number.stderr, /--memory-mb.*'1\.5' is invalid\. It needs to be a whole number from 0 to 2147483647\./)
  const large = await runCli(['deploy', 'f', dir, '--timeout', '4294967297'])
  assert.match(large.stderr, /--timeout.*'4294967297' is invalid/)
  const pair = await runCli(['deploy', 'f', dir, '--env', 'LEVEL'])
  assert.match(pair.stderr, /--env.*'LEVEL' is invalid\. It needs to be KEY=VALUE/)
})
