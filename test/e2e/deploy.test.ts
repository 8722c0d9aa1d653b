import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { it } from 'node:test'
import { credentials, status } from '@grpc/grpc-js'
import { Calls } from '../../harness/calls.js'
import { eventually } from '../../harness/eventually.js'
import { buildZip, link, PROGRAM } from '../../harness/zip.js'
import { AgentService } from '../../src/proto.js'
import { appsOf, scriptZip, versionsOf } from '../support/apps.js'
import { describeAgent } from '../support/describe-agent.js'
import { awaitGate, Gate } from '../support/scripts.js'

const MiB = 2 ** 20

describeAgent('DeployFunction', { skip: process.platform === 'win32' }, ({ agent, calls }) => {
  async function deploy(name: string, archive: Buffer): Promise<void> {
    const ack = await calls.deploy(name, archive, { name, handler: 'main.sh' })
    assert.deepEqual(ack, { success: true, message: 'function deployed' })
  }

  async function output(name: string, args: string[] = []): Promise<string> {
    const response = await calls.execute({ function_name: name, args })
    assert.equal(response.error, '')
    return response.output.toString()
  }

  it('refuses a function that is not registered, unless its configuration comes with it', async () => {
    const archive = scriptZip('echo hello')
    assert.deepEqual(await calls.deploy('unknown', archive), { success: false, message: 'function not registered' })
    assert.equal(existsSync(join(appsOf(agent), 'unknown')), false)
    await deploy('unknown', archive)
    assert.equal(await output('unknown'), 'hello\n')
  })

  it('takes an HTTP body as a control plane hands it on: a form with one file', async () => {
    const form = (boundary: string) =>
      Buffer.concat([
        Buffer.from(`--${boundary}\r\nContent-Disposition: form-data; name="file"; filename="code.zip"\r\n`),
        Buffer.from('Content-Type: application/zip\r\n\r\n'),
        scriptZip('echo from a form'),
        Buffer.from(`\r\n--${boundary}--\r\n`),
      ])
    await deploy('form', form('5f0c4e2b1a9d8c77-0123456789abcdef'))
    assert.equal(await output('form'), 'from a form\n')
    const ack = await calls.deploy('form', form('another'), { name: 'form', handler: 'main.sh' })
    assert.deepEqual(ack, { success: true, message: 'function deployed already' })
  })

  it('takes the code of a function that has been registered', async () => {
    await calls.register({ name: 'registered', handler: 'main.sh', env: { GREETING: 'hi' } })
    const ack = await calls.deploy('registered', scriptZip('echo "$GREETING"'))
    assert.deepEqual(ack, { success: true, message: 'function deployed' })
    assert.equal(await output('registered'), 'hi\n')
  })

  it('uses the configuration that comes along from the next execution on', async () => {
    const archive = scriptZip('echo "$WHICH"')
    for (const WHICH of ['one', 'two']) {
      const config = { name: 'configured', handler: 'main.sh', env: { WHICH } }
      assert.equal((await calls.deploy('configured', archive, config)).success, true)
      assert.equal(await output('configured'), `${WHICH}\n`)
    }
  })

  it('answers the same archive again at once', async () => {
    const archive = scriptZip('true', [{ name: 'data', contents: randomBytes(30 * MiB), stored: true }])
    const timed = async () => {
      const begun = performance.now()
      const { message } = await calls.deploy('again', archive, { name: 'again', handler: 'main.sh' })
      return { message, ms: performance.now() - begun }
    }
    const first = await timed()
    assert.equal(first.message, 'function deployed')
    const [version] = versionsOf(agent, 'again')
    const again = await timed()
    assert.equal(again.message, 'function deployed already')
    assert.ok(again.ms < Math.max(first.ms, 2000), `${first.ms} ms at first, ${again.ms} ms again`)
    assert.deepEqual(versionsOf(agent, 'again'), [version])
  })

  it('warns of a program that cannot be started, also where the same archive comes again', async () => {
    const archive = buildZip([{ name: 'main.sh', contents: '#!/nowhere/sh\n', mode: PROGRAM }])
    const config = { name: 'warned', handler: 'main.sh' }
    const messages = []
    for (let time = 0; time < 2; time++) messages.push((await calls.deploy('warned', archive, config)).message)
    assert.match(messages[0] ?? '', /^function deployed; warning: .*\/nowhere\/sh of main\.sh does not exist$/)
    assert.equal(messages[1], messages[0]?.replace('deployed', 'deployed already'))
  })

  const refusals: Record<string, readonly [archive: Buffer, config: object | undefined, message: RegExp]> = {
    'that is no archive': [Buffer.from('no archive'), undefined, /archive/],
    'that is empty': [Buffer.alloc(0), undefined, /archive/],
    'with an entry outside': [scriptZip('true', [{ name: '../out', contents: 'x' }]), undefined, /"\.\.\/out"/],
    'with a link that leads outside': [scriptZip('true', [link('out', '/etc/passwd')]), undefined, /"out"/],
    'with a wrong checksum': [
      scriptZip('true', [{ name: 'data', contents: 'x', central: { crc32: 1 }, local: { crc32: 1 } }]),
      undefined,
      /"data".*CRC/,
    ],
    'without its handler': [scriptZip('true'), { handler: 'other.sh' }, /handler "other\.sh" is not in the archive/],
    'with a handler outside': [scriptZip('true'), { handler: '../main.sh' }, /handler/],
    'with the configuration of another': [
      scriptZip('true'),
      { name: 'other' },
      /function_name "kept" and config\.name "other" differ/,
    ],
    'with a configuration that is wrong': [scriptZip('true'), { memory_mb: -1 }, /memory_mb/],
  }
  for (const [what, [archive, config, message]] of Object.entries(refusals)) {
    it(`refuses one ${what}, and the old version and settings serve on`, async () => {
      await calls.deploy('kept', scriptZip('echo "kept $SETTING"'), {
        name: 'kept',
        handler: 'main.sh',
        env: { SETTING: 'old' },
      })
      const before = versionsOf(agent, 'kept')
      const brought = config && { name: 'kept', handler: 'main.sh', env: { SETTING: 'new' }, ...config }
      const ack = await calls.deploy('kept', archive, brought)
      assert.equal(ack.success, false)
      assert.match(ack.message, message)
      assert.equal(await output('kept'), 'kept old\n')
      assert.deepEqual(versionsOf(agent, 'kept'), before)
    })
  }

  it('leaves running executions the version they began with, and deletes it after the last of them', async () => {
    const gates = [new Gate(), new Gate()]
    const lines = `echo begun; ${awaitGate(1)}; cat data`
    const version = (data: string) => scriptZip(lines, [{ name: 'data', contents: data }])
    await deploy('long', version('old'))
    const [old] = versionsOf(agent, 'long')
    const ids = await Promise.all(gates.map(({ path }) => calls.start('long', [path])))
    for (const id of ids) await calls.printed(id, 'begun')

    await deploy('long', version('new'))
    gates[0]?.open()
    assert.equal((await calls.ended(ids[0] ?? '')).output, 'begun\nold')
    assert.equal(versionsOf(agent, 'long').length, 2)
    assert.equal(await output('long', [gates[0]?.path ?? '']), 'begun\nnew')
    gates[1]?.open()
    assert.equal((await calls.ended(ids[1] ?? '')).output, 'begun\nold')
    await eventually('the old version is deleted', () => !versionsOf(agent, 'long').includes(old ?? ''))
    assert.equal(versionsOf(agent, 'long').length, 1)
  })

  it('goes on while executions run: each sees one version, whole', async () => {
    const version = (n: number) => scriptZip(`echo ${n}; cat data`, [{ name: 'data', contents: `${n}\n` }])
    await deploy('busy', version(0))
    let over = false
    const seen = new Set<string>()
    const lanes = Array.from({ length: 4 }, async () => {
      while (!over) {
        const text = await output('busy')
        assert.match(text, /^(\d+)\n\1\n$/)
        seen.add(text)
      }
    })
    for (let n = 1; n <= 15; n++) await deploy('busy', version(n))
    over = true
    await Promise.all(lanes)
    assert.ok(seen.size > 1, 'no deploy came between two executions')
    assert.equal(await output('busy'), '15\n15\n')
    await eventually('the old versions are deleted', () => versionsOf(agent, 'busy').length === 1)
  })

  it('deploys many functions at once, and one function many times', async () => {
    const names = Array.from({ length: 40 }, (_, index) => `many-${index}`)
    await Promise.all(names.map((name) => deploy(name, scriptZip(`echo ${name}`))))
    for (const name of names) assert.equal(await output(name), `${name}\n`)
    const acks = Array.from({ length: 20 }, (_, n) => deploy('one', scriptZip(`echo ${n}`)))
    await Promise.all(acks)
    assert.equal(await output('one'), '19\n')
    await eventually('one version is left', () => versionsOf(agent, 'one').length === 1)
  })

  it('takes 49 MiB, and refuses more than 50 MiB without harm', async (t) => {
    const sized = (bytes: number) =>
      scriptZip('wc -c < data', [{ name: 'data', contents: randomBytes(bytes), stored: true }])
    await deploy('big', sized(49 * MiB))
    assert.equal(await output('big'), `${49 * MiB}\n`)
    const careless = new AgentService(`127.0.0.1:${agent.port}`, credentials.createInsecure(), {
      'grpc.max_send_message_length': -1,
    })
    t.after(() => careless.close())
    const config = { name: 'big', handler: 'main.sh' }
    await assert.rejects(new Calls(careless).deploy('big', sized(51 * MiB), config), {
      code: status.RESOURCE_EXHAUSTED,
    })
    assert.equal((await new Calls(careless).health()).healthy, true)
    assert.equal(await output('big'), `${49 * MiB}\n`)
  })
})
