import assert from 'node:assert/strict'
import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { before, beforeEach, test } from 'node:test'
import { isLinux, Project, SCRIPTS } from './project.js'

let built: Project
let project: Project

before(() => {
  built = Project.make()
  assert.equal(built.run('build').status, 0)
})
beforeEach(() => {
  project = built.copy()
})

test('test runs the files that the filters choose and keeps the exit code', () => {
  const good = project.run('test', 'good')
  assert.equal(good.status, 0, good.stderr)
  assert.match(good.stdout, /✔ good/)
  assert.doesNotMatch(good.stdout, /bad/)
  const all = project.run('test')
  assert.equal(all.status, 1)
  assert.match(all.stdout, /✔ good/)
  assert.match(all.stdout, /✖ bad/)
  assert.match(all.stdout, /\nfailed tests\n {2}bad: bad\n {4}as meant\n$/)
})

test('options are passed to the runner', () => {
  const named = project.run('test', '--test-name-pattern=good')
  assert.equal(named.status, 0)
  assert.match(named.stdout, /✔ good/)
})

test('files of a folder share a process, where each has its own hooks, and fails alone', () => {
  const imports = "import assert from 'node:assert'\nimport { beforeEach, test } from 'node:test'"
  const hook = 'beforeEach(() => { globalThis.hooks = (globalThis.hooks ?? 0) + 1 })'
  const counts = (hooks: number) => `test('hooks', () => assert.equal(globalThis.hooks, ${hooks}))`
  const tell = "console.log('in process ' + process.pid)"
  project.write('test/shared/a.test.ts', `${imports}\n${hook}\n${tell}\n${counts(1)}\n`)
  project.write('test/shared/b.test.ts', "throw new Error('as meant')\n")
  project.write('test/shared/c.test.ts', `${imports}\n${tell}\n${counts(1)}\n`)
  const { status, stdout } = project.run('test', 'shared')
  const processes = (printed: string) => new Set(printed.match(/in process \d+/g)).size
  assert.equal(status, 1)
  assert.match(stdout, /✔ dist\/test\/shared\/a\.test\.js[\s\S]*✖ .*\/b\.test\.js[\s\S]*✔ .*\/c\.test\.js/)
  assert.equal(processes(stdout), 1, stdout)
  assert.equal(processes(project.run('test', 'shared/a', 'shared/c', '--test-name-pattern=hooks').stdout), 2)
})

test('a filter that chooses nothing fails', () => {
  const { status, stderr } = project.run('test', 'nowhere')
  assert.equal(status, 1)
  assert.equal(stderr, "no test file's path has nowhere in it\n")
})

test('what is in test/kernel runs in a guest kernel, which writes nothing here', { skip: !isLinux }, async (t) => {
  const guests = (await import(join(SCRIPTS, 'guests.mjs'))) as { whyNoGuest(): Promise<string | undefined> }
  const noGuest = await guests.whyNoGuest()
  if (noGuest !== undefined) return t.skip(noGuest)
  mkdirSync(join(project.dir, 'test/kernel'))
  const inside = "if (process.env.FLUX_KERNEL !== 'uml') throw new Error('outside')"
  const imports = "import fs from 'node:fs'\nimport { test } from 'node:test'"
  const written = "test('is inside', () => fs.writeFileSync('written', ''))"
  writeFileSync(join(project.dir, 'test/kernel/inside.test.ts'), `${imports}\n${inside}\n${written}\n`)
  writeFileSync(join(project.dir, 'test/kernel/wrong.test.ts'), "throw new Error('as meant')\n")
  const { status, stdout, stderr } = project.run('test', 'kernel')
  assert.equal(status, 1, stderr)
  assert.match(stdout, /✔ is inside/)
  assert.match(stdout, /✖ .*wrong\.test\.js/)
  assert.ok(!existsSync(join(project.dir, 'written')))
})

test('without what a guest needs one line names what is skipped', { skip: !isLinux }, () => {
  mkdirSync(join(project.dir, 'test/kernel'))
  writeFileSync(join(project.dir, 'test/kernel/a.test.ts'), "throw new Error('not to be run')\n")
  project.run('build')
  const { status, stdout } = project.runWith({ PATH: '/nowhere' }, 'test', 'kernel')
  assert.equal(status, 0)
  assert.match(stdout, /^skipped, because .+: dist\/test\/kernel\/a\.test\.js$/m)
})

test('where its kernel panics that is why, in CI, too, and other tests decide', { skip: !isLinux }, () => {
  const cache = project.replaceCache()
  project.replaceIn('scripts/uml-kernel.mjs', /^const MADE = .*$/m, "const MADE = 'made'")
  const files = {
    'made/usr/lib/uml/modules/1.0/modules.dep': '',
    'made/usr/bin/linux.uml': "#!/bin/sh\necho 'Kernel panic - not syncing: put_fp_registers' >&3\nexit 1\n",
  }
  for (const [path, content] of Object.entries(files)) {
    mkdirSync(dirname(join(cache, path)), { recursive: true })
    writeFileSync(join(cache, path), content, { mode: 0o755 })
  }
  mkdirSync(join(project.dir, 'test/kernel'))
  writeFileSync(join(project.dir, 'test/kernel/a.test.ts'), "throw new Error('not to be run')\n")
  const environment = { CI: process.env['CI'] }
  const alone = project.runWith(environment, 'test', 'kernel')
  assert.equal(alone.status, 0, alone.stderr)
  const skipped =
    /^skipped, because the guest kernel does not boot: .* put_fp_registers: dist\/test\/kernel\/a\.test\.js$/m
  assert.match(alone.stdout, skipped)
  const withOthers = project.runWith(environment, 'test', 'kernel', 'bad')
  assert.equal(withOthers.status, 1)
  assert.match(withOthers.stdout, skipped)
  assert.match(withOthers.stdout, /✖ bad/)
})
