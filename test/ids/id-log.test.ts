import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { appendFileSync, existsSync, readdirSync, statSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeEach, describe, it } from 'node:test'
import { makeTempDir } from '../../harness/agent.js'
import { IdLog, type IdLogEvent, readIds } from '../../src/ids/id-log.js'

describe('the journal of ids', () => {
  let dir: string
  let events: IdLogEvent[]
  beforeEach(() => {
    dir = join(makeTempDir('flux-ids-'), 'ids')
    events = []
  })

  const open = () => new IdLog(dir, (event) => events.push(event))
  const files = () => readdirSync(dir).map((name) => join(dir, name))
  async function read(): Promise<number[]> {
    const numbers: number[] = []
    await readIds(
      dir,
      (number) => numbers.push(number),
      (event) => events.push(event),
    )
    return numbers.sort((a, b) => a - b)
  }

  it('gives back what two threads have added, and nothing where there was none', async () => {
    assert.deepEqual(await read(), [])
    const [one, two] = [open(), open()]
    await Promise.all([one.add(1), one.add(2 ** 53 - 1), two.add(3)])
    await one.add(4)
    assert.deepEqual(await read(), [1, 3, 4, 2 ** 53 - 1])
    assert.deepEqual(events, [])
    assert.equal(statSync(dir).mode & 0o777, 0o700)
    for (const file of files()) assert.equal(statSync(file).mode & 0o777, 0o600)
  })

  it('writes once for all that come in one turn', async () => {
    const journal = open()
    await journal.add(1)
    const [file = ''] = files()
    const adds = [2, 3, 4].map((number) => journal.add(number))
    assert.equal(statSync(file).size, 24)
    await adds[0]
    assert.equal(statSync(file).size, 48)
  })

  it('has it with the system when it resolves: SIGKILL takes nothing', () => {
    const code = `
      const { IdLog } = await import('./id-log.js')
      const journal = new IdLog(process.argv[1], () => {})
      for (let i = 1; i <= 100; i++) await journal.add(i)
      process.kill(process.pid, 'SIGKILL')`
    const { signal } = run(code)
    assert.equal(signal, 'SIGKILL')
    return read().then((numbers) => assert.equal(numbers.length, 100))
  })

  it('is read though the last one was written in part', async () => {
    await open().add(1)
    appendFileSync(files()[0] as string, Buffer.from([1, 2, 3]))
    writeFileSync(join(dir, 'begun.ids'), 'flux')
    assert.deepEqual(await read(), [1])
    assert.deepEqual(events, [])
  })

  it('says once for each file what is damaged, and gives back the rest', async () => {
    const [one, two] = [open(), open()]
    await one.add(1)
    await two.add(2)
    appendFileSync(files()[0] as string, Buffer.alloc(16))
    writeFileSync(join(dir, 'other.ids'), 'something else that is long enough')
    assert.deepEqual(await read(), [1, 2])
    assert.deepEqual(events.map((event) => event.kind === 'damaged' && event.problem).toSorted(), [
      '2 ids in it are damaged',
      'it is no file of ids',
    ])
  })

  it('forgets files of more than an hour ago, at a start and when a new one is begun', async () => {
    const hourAgo = Date.now() / 1000 - 3_601
    for (const begin of [read, () => open().add(2)]) {
      await open().add(1)
      const old = files()
      for (const file of old) utimesSync(file, hourAgo, hourAgo)
      await begin()
      const deadline = Date.now() + 5_000
      while (old.some((file) => existsSync(file)) && Date.now() < deadline) await new Promise((go) => setTimeout(go, 5))
      assert.deepEqual(
        old.filter((file) => existsSync(file)),
        [],
      )
    }
    assert.deepEqual(await read(), [2])
  })

  it('says once that the disk does not take it, and goes on', async () => {
    writeFileSync(dir, 'a file stands in the way')
    const journal = open()
    await journal.add(1)
    await journal.add(2)
    assert.deepEqual(
      events.map(({ kind }) => kind),
      ['failed'],
    )
    await read()
    assert.equal(events.at(-1)?.kind, 'damaged')
  })

  it('keeps what it could write where the disk is full', { skip: process.platform !== 'linux' }, async () => {
    const code = `
      const { IdLog } = await import('./id-log.js')
      const journal = new IdLog(process.argv[1], (event) => console.log(event.kind))
      for (let i = 1; i <= 10; i++) await journal.add(i)`
    // Half of the third number fits.
    const { stdout, stderr } = run(code, 'prlimit', '--fsize=36')
    assert.equal(String(stdout), 'failed\n', String(stderr))
    assert.deepEqual(await read(), [1, 2])
    assert.deepEqual(events, [])
  })

  function run(code: string, ...through: string[]) {
    const [program = '', ...args] = [...through, process.execPath, '--input-type=module', '-e', code, dir]
    return spawnSync(program, args, { cwd: new URL('../../src/ids', import.meta.url) })
  }
})
