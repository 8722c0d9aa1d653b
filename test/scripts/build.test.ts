import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { before, beforeEach, test } from 'node:test'
import { isLinux, Project } from './project.js'

let built: Project
let first: ReturnType<Project['run']>
let project: Project

before(() => {
  built = Project.make()
  first = built.run('build')
  assert.equal(first.status, 0, first.stderr)
})
beforeEach(() => {
  project = built.copy()
})

test('the first build installs, generates, compiles and bundles; the second does nothing', () => {
  assert.deepEqual(
    first.lines.map((line) => line.split(' ')[0]),
    ['installing', 'generating', 'compiling', 'bundling', ...(isLinux ? ['compiling', 'compiling', 'compiling'] : [])],
  )
  assert.ok(existsSync(join(built.dir, 'dist/src/a.js')))
  const second = built.run('build')
  assert.deepEqual([second.status, second.stdout, second.stderr], [0, '', ''])
})

test('a change does again only what depends on it', () => {
  project.run('build')
  writeFileSync(join(project.dir, 'src/a.ts'), 'export const a = 2\n')
  assert.deepEqual(project.run('build').lines, ['compiling 4 files to dist/', 'bundling the agent to dist/agent/'])
  assert.match(readFileSync(join(project.dir, 'dist/src/a.js'), 'utf8'), /a = 2/)
  writeFileSync(join(project.dir, 'proto/a.proto'), '// changed\n')
  assert.deepEqual(project.run('build').lines, ['generating the types of proto/*.proto'])
  rmSync(join(project.dir, 'node_modules'), { recursive: true })
  assert.deepEqual(project.run('build').lines, ['installing the packages of package-lock.json'])
})

test('the launcher is compiled when its sources change', { skip: !isLinux }, () => {
  const launcher = join(project.dir, 'dist/native/launcher')
  assert.equal(project.run('build').status, 0)
  assert.equal(spawnSync(launcher).status, 0)
  writeFileSync(join(project.dir, 'native/launcher/launcher.h'), '#define CODE 7\n')
  assert.deepEqual(project.run('build').lines, ['compiling dist/native/launcher'])
  assert.equal(spawnSync(launcher).status, 7)
  writeFileSync(join(project.dir, 'src/a.ts'), 'export const a = 2\n')
  assert.deepEqual(project.run('build').lines, ['compiling 4 files to dist/', 'bundling the agent to dist/agent/'])
  assert.equal(spawnSync(launcher).status, 7)
})

test('a warning of the C compiler is an error', { skip: !isLinux }, () => {
  writeFileSync(join(project.dir, 'native/launcher/launcher.c'), 'int main(int unused) { return 0; }\n')
  const { status, stderr } = project.run('build')
  assert.notEqual(status, 0)
  assert.match(stderr, /unused/)
})

test('without a C compiler the rest is built, and one line says what is missing', { skip: !isLinux }, () => {
  rmSync(join(project.dir, 'dist'), { recursive: true })
  const { status, stdout } = project.runWith({ CC: '/nowhere/cc' }, 'build')
  assert.equal(status, 0)
  assert.match(stdout, /^no C compiler \(\/nowhere\/cc\): functions will be started by child_process.*$/m)
  assert.ok(existsSync(join(project.dir, 'dist/src/a.js')))
})

test('what came from a deleted source is removed', () => {
  project.run('build')
  rmSync(join(project.dir, 'src/b.ts'))
  assert.equal(project.run('build').status, 0)
  assert.ok(existsSync(join(project.dir, 'dist/src/a.js')))
  assert.ok(!existsSync(join(project.dir, 'dist/src/b.js')))
})

test("the compiler's exit code is kept, and it is asked again", () => {
  writeFileSync(join(project.dir, 'src/a.ts'), 'BROKEN')
  assert.equal(project.run('build').status, 2)
  assert.equal(project.run('build').status, 2)
  writeFileSync(join(project.dir, 'src/a.ts'), '')
  assert.equal(project.run('build').status, 0)
})

test('a build that failed is not taken for the one before it', () => {
  const source = join(project.dir, 'src/a.ts')
  const right = readFileSync(source)
  assert.equal(project.run('build').status, 0)
  writeFileSync(source, 'BROKEN')
  assert.equal(project.run('build').status, 2)
  // What the compiler has told itself then may not be true of what is there.
  project.write('dist/.tsbuildinfo', '{}')
  writeFileSync(source, right)
  assert.equal(project.run('build').status, 0)
  assert.deepEqual(readFileSync(join(project.dir, 'dist/src/a.js')), right)
  assert.ok(!existsSync(join(project.dir, 'dist/.tsbuildinfo')))
})
