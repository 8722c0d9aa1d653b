import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { before, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { eventually } from '../../harness/eventually.js'
import { isRunning } from '../../harness/processes.js'
import { buildZip, PROGRAM } from '../../harness/zip.js'
import { describeAgent } from '../support/describe-agent.js'

describeAgent('an execution that fails', { skip: process.platform === 'win32' }, ({ agent, calls }) => {
  before(async () => {
    await calls.script('run', 'eval "$1"')
  })

  const run = async (lines: string) => {
    const { error, output } = await calls.execute({ function_name: 'run', args: [lines] })
    return [error, output.toString()]
  }

  async function program(name: string, contents: string | Buffer): Promise<void> {
    const ack = await calls.deploy(name, buildZip([{ name: 'main', contents, mode: PROGRAM }]), {
      name,
      handler: 'main',
    })
    assert.equal(ack.success, true, ack.message)
  }

  /** The same error in a sync answer and in an async record. */
  async function failure(name: string, args: string[] = []): Promise<string> {
    const { error } = await calls.execute({ function_name: name, args })
    const record = await calls.ended(await calls.start(name, args))
    assert.deepEqual([record.status, record.error, record.output], ['failed', error, undefined])
    return error
  }

  it('says of what has crashed that it is a part of a program, or a library', async () => {
    const whole = readFileSync('/bin/sh')
    await program('half', whole.subarray(0, whole.length >> 1))
    assert.match(
      await failure('half'),
      /^killed by SIG(SEGV|BUS): \/.*\/main is a native program that was cut off: it has \d+ of at least \d+ bytes; /,
    )
  })

  it('names its handler where that is not there', async () => {
    await program('renamed', '#!/bin/sh\n')
    await calls.register({ name: 'renamed', handler: 'gone/other' })
    assert.match(await failure('renamed'), /^\/.*\/gone\/other does not exist \(ENOENT\)$/)
  })

  it('names the interpreter of its handler where that is not there', async () => {
    await program('no-interpreter', '#!/nowhere/python9\n')
    assert.match(
      await failure('no-interpreter'),
      /^interpreter \/nowhere\/python9 of \/.*\/main does not exist \(ENOENT\)$/,
    )
  })

  it('names an interpreter that may not be executed', async () => {
    const interpreter = join(agent.dir, 'interpreter')
    writeFileSync(interpreter, '', { mode: 0o644 })
    await program('interpreter', `#!${interpreter}\n`)
    const error = await failure('interpreter')
    assert.ok(error.startsWith(`interpreter ${interpreter} of /`), error)
    assert.match(error, /\/main may not be executed \(EACCES\)$/)
  })

  it('names a handler that is no program', async () => {
    await program('text', 'echo hello\n')
    assert.match(await failure('text'), /^\/.*\/main is neither a native program nor a script .* \(ENOEXEC\)$/)
  })

  it('refuses an argument that is too long, and tells how much all are where that is too much', async () => {
    const refused = await calls.execute({ function_name: 'run', args: ['x', 'y'.repeat(300_000)] })
    assert.equal(refused.error, 'args[1] is too long: 300000 bytes; allowed: 131071')
    assert.match(
      await failure(
        'run',
        Array.from({ length: 60 }, () => 'x'.repeat(120_000)),
      ),
      /^arguments and environment are too long together: 720\d{4} bytes; allowed: \d{7} \(E2BIG\)$/,
    )
  })

  it('tells a NUL in an argument, and runs nothing', async () => {
    const request = { function_name: 'run', args: ['true', 'a\0b'] }
    const error = 'args[1] holds a NUL byte, which no process argument can'
    assert.equal((await calls.execute(request)).error, error)
    assert.equal((await calls.execute({ ...request, execution_id: 'nul', async: true })).error, error)
    assert.equal((await calls.ended('nul')).error, error)
  })

  for (const code of [1, 2, 126, 127, 255]) {
    it(`tells the exit code ${code}, with the output`, async () => {
      assert.deepEqual(await run(`echo said; exit ${code}`), [`exit code ${code}`, 'said\n'])
    })
  }

  for (const signal of ['SIGKILL', 'SIGTERM', 'SIGSEGV', 'SIGABRT', 'SIGPIPE', 'SIGUSR1']) {
    it(`tells ${signal}, with the output`, async () => {
      assert.deepEqual(await run(`echo said; kill -${signal.slice(3)} $$`), [`killed by ${signal}`, 'said\n'])
    })
  }

  it('is recorded with its code or signal', async () => {
    const code = await calls.ended(await calls.start('run', ['echo said; exit 9']))
    assert.deepEqual([code.status, code.error, code.exit_code, code.output], ['failed', 'exit code 9', 9, 'said\n'])
    const signal = await calls.ended(await calls.start('run', ['kill -TERM $$']))
    assert.deepEqual([signal.status, signal.error, signal.signal], ['failed', 'killed by SIGTERM', 'SIGTERM'])
  })

  it('is killed with its children when its time is over, with the output so far', async () => {
    const lines = 'trap "" TERM; sleep 60 & echo $!; sleep 60 & echo $!; wait; wait'
    await calls.script('slow', lines, { timeout_seconds: 1 })
    const { error, output, duration_ms } = await calls.execute({ function_name: 'slow' })
    assert.equal(error, 'execution timed out after 1s')
    assert.ok(duration_ms >= 1000, `${duration_ms} ms`)
    const pids = output.toString().trim().split('\n').map(Number)
    assert.equal(pids.length, 2)
    for (const pid of pids) assert.equal(isRunning(pid), false)
    const record = await calls.ended(await calls.start('slow'))
    assert.deepEqual([record.status, record.error], ['failed', 'execution timed out after 1s'])
    assert.match(record.output ?? '', /^\d+\n\d+\n$/)
  })

  it('has all the time that a configuration can give', async () => {
    for (const timeout_seconds of [2_147_484, 4_294_968, 2_147_483_647]) {
      await calls.script('long', 'sleep 0.3; echo done', { timeout_seconds })
      const { error, output } = await calls.execute({ function_name: 'long' })
      assert.deepEqual([error, String(output)], ['', 'done\n'], `${timeout_seconds} s`)
    }
  })

  it('is judged by its own time where the agent is stopped meanwhile', async () => {
    await calls.script('stopped', 'echo begun; sleep "$1"; echo done', { timeout_seconds: 1 })
    const [inTime, late] = [await calls.start('stopped', ['0.4']), await calls.start('stopped', ['60'])]
    await Promise.all([inTime, late].map((id) => calls.printed(id, 'begun')))
    process.kill(agent.pid, 'SIGSTOP')
    await sleep(2_000)
    process.kill(agent.pid, 'SIGCONT')
    const continued = performance.now()
    assert.equal((await calls.ended(late)).error, 'execution timed out after 1s')
    assert.ok(performance.now() - continued < 1_000)
    const record = await calls.ended(inTime)
    assert.deepEqual([record.status, record.output], ['success', 'begun\ndone\n'])
  })

  it('does not time out where it has ended before', async () => {
    await calls.script('in-time', 'sleep 0.2', { timeout_seconds: 1 })
    assert.equal((await calls.execute({ function_name: 'in-time' })).error, '')
  })

  it('tells a function that is not known', async () => {
    assert.equal((await calls.execute({ function_name: 'nobody' })).error, 'function not found')
    const request = { function_name: 'nobody', execution_id: 'unknown-function', async: true }
    assert.equal((await calls.execute(request)).error, 'function not found')
    assert.equal((await calls.ended('unknown-function')).error, 'function not found')
  })

  it('tells a function without code', async () => {
    await calls.register({ name: 'empty', handler: 'main' })
    assert.equal(
      (await calls.execute({ function_name: 'empty' })).error,
      'function empty is not deployed on this agent',
    )
  })

  it('leaves no slot taken', async () => {
    await eventually('no task is active', async () => (await calls.status()).active_tasks === 0)
  })
})
