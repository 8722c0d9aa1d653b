import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { Calls } from '../../../harness/calls.js'
import { makeCertificates, writeAgentFiles } from '../../../harness/certificates.js'
import { eventually } from '../../../harness/eventually.js'
import { noRedis, RedisServer } from '../../../harness/redis.js'
import { buildZip, link, type ZipEntry } from '../../../harness/zip.js'
import { VERSION } from '../../../src/version.js'
import { type Clients, clientsTo, mutualTls, statusOfEach } from '../../support/flux-client.js'
import { callSync, followed } from '../../support/live-calls.js'
import { unpackZip } from './package.js'
import { noWine, Windows, type WindowsProgram } from './wine.js'

/** What an argument may hold that a shell, or the C library, could take for something else. */
const HOSTILE = [
  '%PATH%',
  '%%OS%%',
  '!OS!',
  '^x^',
  '"',
  'a" & echo hacked & "b',
  '<a>b|c',
  'a b\\',
  '\\\\"',
  '',
  "'",
  '*',
]
const START_SECONDS = 60

describe('the agent of the zip, in Windows', { skip: noWine ?? noRedis ?? false }, () => {
  let windows: Windows
  let redis: RedisServer
  let agent: WindowsProgram
  let clients: Clients
  let calls: Calls
  let clientsOf: (port: number) => Clients

  before(async () => {
    ;[windows, redis] = await Promise.all([Windows.start(), RedisServer.start()])
    await unpackZip(windows.shared)
    const { authority, agent: own, flux } = await makeCertificates()
    writeAgentFiles(join(windows.shared, 'tls'), authority, own)
    clientsOf = (port) => clientsTo(port, mutualTls(authority.cert, flux))
    const config = {
      agent_id: 'windows-1',
      host: '127.0.0.1',
      port: 0,
      redis_addr: redis.address,
      drain_seconds: 20,
      tls: { ca_cert: 'tls/ca.pem', cert_file: 'tls/agent.pem', key_file: 'tls/agent-key.pem' },
    }
    writeFileSync(join(windows.shared, 'agent.yaml'), JSON.stringify(config))
    // A small program that comes with Windows.
    await windows.run('cmd', ['/c', 'copy', 'C:\\windows\\system32\\where.exe', windows.sharedThere]).exited
    await startAgent()
  })

  after(async () => {
    clients?.close()
    await windows?.stop()
    await redis?.stop()
  })

  function lock(): string {
    return join(windows.shared, 'data', 'agent.lock')
  }

  async function killAgent(): Promise<void> {
    const pid = readFileSync(lock(), 'utf8').split(' ')[0] ?? ''
    await windows.run('taskkill', ['/F', '/PID', pid]).exited
    assert.notEqual(await agent.exited, 0)
  }

  async function startAgent(): Promise<void> {
    agent = command('start')
    const port = await eventually(
      'the agent serves',
      () => {
        const line = agent
          .output()
          .split('\n')
          .find((candidate) => candidate.includes('"msg":"serving"'))
        if (!line && agent.process.exitCode !== null) throw new Error(agent.output())
        return line === undefined ? undefined : (JSON.parse(line) as { port: number }).port
      },
      START_SECONDS,
    )
    clients?.close()
    clients = clientsOf(port)
    calls = new Calls(clients.agent)
  }

  function command(...args: readonly string[]): WindowsProgram {
    const config = args[0] === 'start' || args[0] === 'stop' ? ['--config', 'Z:\\work\\agent.yaml'] : []
    return windows.run('cmd', ['/c', `Z:\\work\\flux-agent-${VERSION}\\flux-agent.cmd`, ...args, ...config])
  }

  async function deploy(
    name: string,
    handler: string,
    contents: string | Buffer,
    files: readonly ZipEntry[] = [],
    timeout = 0,
  ) {
    const archive = buildZip([{ name: handler, contents }, ...files])
    const ack = await calls.deploy(name, archive, { name, handler, timeout_seconds: timeout })
    assert.equal(ack.success, true, ack.message)
  }

  async function output(name: string, args: readonly string[] = []): Promise<string> {
    const answer = await calls.execute({ function_name: name, args: [...args] })
    assert.equal(answer.error, '', `${answer.output}`)
    return answer.output.toString()
  }

  /** A function whose detached grandchild makes a file grow until it is killed. */
  async function deployGrower(name: string, timeout = 0): Promise<string> {
    const file = `${name}.txt`
    const grow = `setInterval(() => require('fs').appendFileSync('Z:\\\\work\\\\${file}', 'x'), 20)`
    const main = [
      `const child = require('child_process').spawn(process.execPath, ['grow.js'], { detached: true, stdio: 'ignore' })`,
      `child.on('spawn', () => console.log('grows'))`,
      'setInterval(() => {}, 1000)',
    ]
    await deploy(name, 'main.js', main.join('\n'), [{ name: 'grow.js', contents: grow }], timeout)
    return join(windows.shared, file)
  }

  async function grows(file: string): Promise<void> {
    await eventually(`${file} grows`, () => existsSync(file) && statSync(file).size > 3)
  }

  /** It has grown every 20 ms. */
  async function standsStill(file: string): Promise<void> {
    const { size } = statSync(file)
    await sleep(500)
    assert.equal(statSync(file).size, size, `${file} still grows`)
  }

  test('all calls are answered', async () => {
    assert.ok(Object.values(await statusOfEach(clients)).every((status) => status === 'OK' || status === 'NOT_FOUND'))
    const node = await calls.status()
    assert.equal(node.agent_id, 'windows-1')
    assert.ok(node.memory_total_mb > 0)
    assert.deepEqual(await calls.health(), {
      healthy: true,
      version: VERSION,
      problems: [],
      state: 'serving',
      drained_since: '',
    })
  })

  const ECHO = 'console.log(JSON.stringify(process.argv.slice(2)))'
  const PASS_ON = '@"Z:\\work\\node.exe" "%~dp0echo.js" %*\r\n'

  for (const [ending, files] of [
    ['js', []],
    ['cjs', []],
    ['cmd', [{ name: 'echo.js', contents: ECHO }]],
    ['bat', [{ name: 'echo.js', contents: ECHO }]],
  ] as const) {
    test(`a .${ending} is run with its arguments as given`, async () => {
      const contents = files.length > 0 ? PASS_ON.replace('work\\', `work\\flux-agent-${VERSION}\\`) : ECHO
      await deploy(
        `echo-${ending}`,
        `bin/main.${ending}`,
        contents,
        files.map((file) => ({ ...file, name: `bin/${file.name}` })),
      )
      assert.deepEqual(JSON.parse(await output(`echo-${ending}`, HOSTILE)), HOSTILE)
    })
  }

  test('an .mjs is run, and its environment is what programs need', async () => {
    await deploy(
      'env',
      'main.mjs',
      `import { tmpdir } from 'node:os'\nconsole.log(process.env.FLUX_EXECUTION_ID, process.env.ComSpec, tmpdir(), process.cwd())`,
    )
    assert.match(await output('env'), /^\S+ C:\\windows\\System32\\cmd\.exe .*Temp.*versions/i)
  })

  test('an .exe is run', async () => {
    await deploy('exe', 'tool.exe', readFileSync(join(windows.shared, 'where.exe')))
    assert.match(await output('exe', ['cmd']), /cmd\.exe/i)
  })

  test('exit codes, both streams, and what is written last', async () => {
    await deploy('fails', 'main.cmd', '@echo off\r\necho out\r\necho err 1>&2\r\nexit 7\r\n')
    const answer = await calls.execute({ function_name: 'fails' })
    assert.equal(answer.error, 'exit code 7')
    assert.match(answer.output.toString(), /out/)
    assert.match(answer.output.toString(), /err/)
    await deploy('much', 'main.js', "process.stdout.write('x'.repeat(1_000_000))")
    assert.equal((await output('much')).length, 1_000_000)
  })

  test('a line break in an argument of a batch file is refused', async () => {
    await deploy('batch', 'main.cmd', '@echo %1\r\n')
    const { error } = await calls.execute({ function_name: 'batch', args: ['a\nb'] })
    assert.match(error, /cannot hold a line break/)
  })

  for (const [what, name, handler] of [
    ['an ending that Windows cannot run', 'f', 'main.sh'],
    ['no ending', 'f', 'main'],
    ["a device's name", 'f', 'con.js'],
    ['a function that is named like a device', 'NUL', 'main.js'],
  ] as const) {
    test(`${what} is refused at the registration`, async () => {
      const { success, message } = await calls.register({ name, handler })
      assert.equal(success, false)
      assert.match(message, /Windows/)
    })
  }

  test('names that are none on Windows are refused', async () => {
    for (const entries of [
      ...['aux.txt', 'a:b', 'a.', 'a ', 'a?b', 'lpt¹', '../x'].map((name) => [{ name }]),
      [{ name: 'README' }, { name: 'readme' }],
      [link('l', 'main.js')],
    ]) {
      const archive = buildZip([{ name: 'main.js' }, ...entries])
      const { success, message } = await calls.deploy('names', archive, { name: 'names', handler: 'main.js' })
      assert.equal(success, false, JSON.stringify(entries))
      assert.match(message, /entry/)
    }
  })

  test('a file lies as deep as it may', async () => {
    const deep = `${'folder/'.repeat(60)}file.txt`
    await deploy('deep', 'main.js', `console.log(require('fs').readFileSync(${JSON.stringify(deep)}, 'utf8'))`, [
      { name: deep, contents: 'found' },
    ])
    assert.match(await output('deep'), /found/)
    const handler = `${'folder/'.repeat(60)}main.js`
    const { message } = await calls.deploy('deeper', buildZip([{ name: handler }]), { name: 'deeper', handler })
    assert.match(message, /at most 259/)
  })

  test('live output is followed', async () => {
    await deploy(
      'live',
      'main.js',
      'let i = 0; const t = setInterval(() => { console.log(i++); if (i === 5) clearInterval(t) }, 100)',
    )
    const id = await calls.start('live')
    await calls.printed(id, '1')
    const [all, record] = await followed(clients.operations, id)
    assert.equal(all.toString(), '0\n1\n2\n3\n4\n')
    assert.equal(record.status, 'success')
  })

  test('a cancel ends a detached grandchild, and answers when it is dead', async () => {
    const file = await deployGrower('cancelled')
    const id = await calls.start('cancelled')
    await grows(file)
    assert.equal((await calls.cancel(id)).success, true)
    await standsStill(file)
    assert.equal((await calls.record(id)).status, 'cancelled')
    assert.equal((await calls.status()).active_tasks, 0)
  })

  test('so do a timeout and a caller that hangs up', async () => {
    const timed = await deployGrower('timed', 10)
    const late = await calls.execute({ function_name: 'timed' })
    assert.equal(late.error, 'execution timed out after 10s')
    await standsStill(timed)
    const left = await deployGrower('left')
    const call = callSync(clients.agent, { function_name: 'left', execution_id: randomUUID() })
    await grows(left)
    call.hangUp()
    await call.outcome
    await eventually('the slot is back', async () => (await calls.status()).active_tasks === 0)
    await standsStill(left)
  })

  test('what holds the pipes after its leader does not delay the end', async () => {
    const hold =
      "require('child_process').spawn('ping', ['-n', '60', '127.0.0.1'], { detached: true, stdio: 'inherit' }).unref()"
    await deploy('holder', 'main.js', `${hold}; console.log('done')`)
    const begun = performance.now()
    assert.match(await output('holder'), /done/)
    assert.ok(performance.now() - begun < 20_000)
  })

  test('a stop drains, and the next start has the functions', async () => {
    await deploy('slow', 'main.js', "setTimeout(() => console.log('drained'), 2000)")
    const running = calls.execute({ function_name: 'slow' })
    await eventually('it runs', async () => (await calls.status()).active_tasks === 1)
    const stop = command('stop')
    assert.match((await running).output.toString(), /drained/)
    assert.equal(await stop.exited, 0, stop.output())
    assert.match(stop.output(), /stopped the agent/)
    assert.equal(await agent.exited, 0)
    await startAgent()
    assert.deepEqual(JSON.parse(await output('echo-js', ['again'])), ['again'])
  })

  test('an agent that is killed takes the leaders of its functions along', async () => {
    const grow = "setInterval(() => require('fs').appendFileSync('Z:\\\\work\\\\leader.txt', 'x'), 20)"
    await deploy('leader', 'main.js', grow)
    await calls.start('leader')
    const file = join(windows.shared, 'leader.txt')
    await grows(file)
    await killAgent()
    await standsStill(file)
    await startAgent()
  })

  test('a lock keeps other agents out, unless its process is another program by now', async () => {
    const second = command('start')
    assert.equal(await second.exited, 1)
    assert.match(second.output(), /is in use by process \d+/)
    await killAgent()
    const list = windows.run('cmd', ['/c', 'tasklist /FO CSV /NH'])
    await list.exited
    const [, pid] = /^"services\.exe","(\d+)"/m.exec(list.output()) ?? []
    const killed = readFileSync(lock(), 'utf8')
    writeFileSync(lock(), killed.replace(/^\d+/, String(pid)))
    assert.match(readFileSync(lock(), 'utf8'), /^\d+ node\.exe\n$/)
    await startAgent()
    assert.equal((await calls.status()).agent_id, 'windows-1')
  })

  test('the command passes on its exit code', async () => {
    assert.equal(await command('ps', '--address', '127.0.0.1:1').exited, 1)
    assert.equal(await command('--version').exited, 0)
  })
})
