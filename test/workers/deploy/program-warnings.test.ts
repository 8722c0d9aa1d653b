import assert from 'node:assert/strict'
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { makeTempDir } from '../../../harness/agent.js'
import { programWarnings } from '../../../src/workers/deploy/program-warnings.js'
import { isWindows } from './deploy-fixture.js'

test('a program that begins as a fine one did is looked at again after a second', { skip: isWindows }, async () => {
  const apps = makeTempDir('flux-apps-')
  const interpreter = join(apps, 'interpreter')
  writeFileSync(interpreter, '#!/bin/sh\n', { mode: 0o755 })
  const version = (name: string, program: string): string => {
    const dir = join(apps, name, 'versions', '1')
    mkdirSync(dir, { recursive: true })
    writeFileSync(join(dir, 'main'), program, { mode: 0o755 })
    return dir
  }
  const script = `#!${interpreter}\n`
  assert.deepEqual(await programWarnings(version('a', script), 'main'), [])
  rmSync(interpreter)
  assert.deepEqual(await programWarnings(version('b', `${script}echo other\n`), 'main'), [])
  // What begins in another way has no part in that.
  assert.match((await programWarnings(version('c', `#!${interpreter} -x\n`), 'main'))[0] ?? '', /does not exist/)
  await sleep(1_100)
  const again = version('d', script)
  assert.deepEqual(await programWarnings(again, 'main'), [`interpreter ${interpreter} of main does not exist`])
})

test('a program whose interpreter is found from its own folder is always looked at', { skip: isWindows }, async () => {
  const apps = makeTempDir('flux-apps-')
  const version = (name: string, files: readonly string[]): string => {
    const dir = join(apps, name, 'versions', '1')
    mkdirSync(dir, { recursive: true })
    for (const file of files) writeFileSync(join(dir, file), '#!/usr/bin/env -S ./run\n', { mode: 0o755 })
    return dir
  }
  writeFileSync(join(version('a', ['main']), 'run'), '#!/bin/sh\n', { mode: 0o755 })
  assert.deepEqual(await programWarnings(join(apps, 'a/versions/1'), 'main'), [])
  assert.match(
    (await programWarnings(version('b', ['main']), 'main'))[0] ?? '',
    /program \.\/run of main does not exist/,
  )
})
