import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { before, beforeEach, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { makeTempDir } from '../../harness/agent.js'

const isLinux = process.platform === 'linux'
const SCRIPTS = fileURLToPath(new URL('../../../scripts', import.meta.url))

/** Stands in for the compiler: copies each source to dist/, and fails in the end where one says so. */
const TSC = `
const { cpSync, readdirSync, readFileSync } = require('node:fs')
for (const name of readdirSync('.', { recursive: true })) {
  if (!/^(src|test).*\\.ts$/.test(name)) continue
  if (readFileSync(name, 'utf8').includes('BROKEN')) process.exitCode = 2
  cpSync(name, 'dist/' + name.replace(/ts$/, 'js'))
}
`

let template: string
let project: string

/** A project as small as one can be that the script takes for its own. */
before(() => {
  template = makeTempDir('flux-agent-setup-')
  const files = {
    'package.json': JSON.stringify({
      name: 'project',
      type: 'module',
      scripts: { generate: 'node -e "fs.mkdirSync(\'src/generated\')"' },
      dependencies: { typescript: 'file:compiler' },
    }),
    'compiler/package.json': JSON.stringify({ name: 'typescript', version: '1.0.0', type: 'commonjs' }),
    'compiler/bin/tsc': TSC,
    'tsconfig.json': '{}',
    'proto/a.proto': '',
    'src/a.ts': 'export const a = 1\n',
    'src/b.ts': 'export const b = 1\n',
    'native/launcher/launcher.h': '#define CODE 0\n',
    'native/launcher/launcher.c': '#include "launcher.h"\nint main(void) { return CODE; }\n',
    'native/notifier/notifier.c': 'int main(void) { return 0; }\n',
    'test/good.test.ts': "import { test } from 'node:test'\ntest('good', () => {})\n",
    'test/bad.test.ts': "import { test } from 'node:test'\ntest('bad', () => { throw new Error('as meant') })\n",
  }
  for (const [path, content] of Object.entries(files)) {
    mkdirSync(dirname(join(template, path)), { recursive: true })
    writeFileSync(join(template, path), content)
  }
  cpSync(SCRIPTS, join(template, 'scripts'), { recursive: true })
  const flags = ['--package-lock-only', '--offline', '--no-audit', '--no-fund']
  execFileSync('npm', ['install', ...flags], { cwd: template, stdio: 'pipe' })
})

beforeEach(() => {
  project = makeTempDir('flux-agent-setup-')
  cpSync(template, project, { recursive: true })
})

function setup(script: 'build' | 'test', ...args: string[]) {
  return setupWith({}, script, ...args)
}

function setupWith(variables: NodeJS.ProcessEnv, script: 'build' | 'test', ...args: string[]) {
  // The runner would report to this one, not to its own output.
  const { NODE_TEST_CONTEXT: _context, CI: _ci, ...env } = process.env
  const { status, stdout, stderr } = spawnSync(process.execPath, [`scripts/${script}.mjs`, ...args], {
    cwd: project,
    env: { ...env, ...variables },
    encoding: 'utf8',
  })
  return {
    status,
    lines: stdout.split('\n').filter((line) => /^(installing|generating|compiling)/.test(line)),
    stdout,
    stderr,
  }
}

test('the first build installs, generates and compiles; the second does nothing', () => {
  const first = setup('build')
  assert.equal(first.status, 0, first.stderr)
  assert.deepEqual(
    first.lines.map((line) => line.split(' ')[0]),
    ['installing', 'generating', 'compiling', ...(isLinux ? ['compiling', 'compiling'] : [])],
  )
  assert.ok(existsSync(join(project, 'dist/src/a.js')))
  const second = setup('build')
  assert.deepEqual([second.status, second.stdout, second.stderr], [0, '', ''])
})

test('a change does again only what depends on it', () => {
  setup('build')
  writeFileSync(join(project, 'src/a.ts'), 'export const a = 2\n')
  assert.deepEqual(setup('build').lines, ['compiling 4 files to dist/'])
  assert.match(readFileSync(join(project, 'dist/src/a.js'), 'utf8'), /a = 2/)
  writeFileSync(join(project, 'proto/a.proto'), '// changed\n')
  assert.deepEqual(setup('build').lines, ['generating the types of proto/*.proto'])
  rmSync(join(project, 'node_modules'), { recursive: true })
  assert.deepEqual(setup('build').lines, ['installing the packages of package-lock.json'])
})

test('the launcher is compiled when its sources change', { skip: !isLinux }, () => {
  const launcher = join(project, 'dist/native/launcher')
  assert.equal(setup('build').status, 0)
  assert.equal(spawnSync(launcher).status, 0)
  writeFileSync(join(project, 'native/launcher/launcher.h'), '#define CODE 7\n')
  assert.deepEqual(setup('build').lines, ['compiling dist/native/launcher'])
  assert.equal(spawnSync(launcher).status, 7)
  writeFileSync(join(project, 'src/a.ts'), 'export const a = 2\n')
  assert.deepEqual(setup('build').lines, ['compiling 4 files to dist/'])
  assert.equal(spawnSync(launcher).status, 7)
})

test('a warning of the C compiler is an error', { skip: !isLinux }, () => {
  writeFileSync(join(project, 'native/launcher/launcher.c'), 'int main(int unused) { return 0; }\n')
  const { status, stderr } = setup('build')
  assert.notEqual(status, 0)
  assert.match(stderr, /unused/)
})

test('without a C compiler the rest is built, and one line says what is missing', { skip: !isLinux }, () => {
  const { status, stdout } = setupWith({ CC: '/nowhere/cc' }, 'build')
  assert.equal(status, 0)
  assert.match(stdout, /^no C compiler \(\/nowhere\/cc\): functions will be started by child_process.*$/m)
  assert.ok(existsSync(join(project, 'dist/src/a.js')))
})

test('what came from a deleted source is removed', () => {
  setup('build')
  rmSync(join(project, 'src/b.ts'))
  assert.equal(setup('build').status, 0)
  assert.ok(existsSync(join(project, 'dist/src/a.js')))
  assert.ok(!existsSync(join(project, 'dist/src/b.js')))
})

test("the compiler's exit code is kept, and it is asked again", () => {
  writeFileSync(join(project, 'src/a.ts'), 'BROKEN')
  assert.equal(setup('build').status, 2)
  assert.equal(setup('build').status, 2)
  writeFileSync(join(project, 'src/a.ts'), '')
  assert.equal(setup('build').status, 0)
})

test('a build that failed is not taken for the one before it', () => {
  const source = join(project, 'src/a.ts')
  const right = readFileSync(source)
  assert.equal(setup('build').status, 0)
  writeFileSync(source, 'BROKEN')
  assert.equal(setup('build').status, 2)
  writeFileSync(source, right)
  assert.equal(setup('build').status, 0)
  assert.deepEqual(readFileSync(join(project, 'dist/src/a.js')), right)
})

test('test runs the files that the filters choose and keeps the exit code', () => {
  const good = setup('test', 'good')
  assert.equal(good.status, 0, good.stderr)
  assert.match(good.stdout, /✔ good/)
  assert.doesNotMatch(good.stdout, /bad/)
  const all = setup('test')
  assert.equal(all.status, 1)
  assert.match(all.stdout, /✔ good/)
  assert.match(all.stdout, /✖ bad/)
})

test('options are passed to the runner', () => {
  const named = setup('test', '--test-name-pattern=good')
  assert.equal(named.status, 0)
  assert.match(named.stdout, /✔ good/)
})

test('a filter that chooses nothing fails', () => {
  const { status, stderr } = setup('test', 'nowhere')
  assert.equal(status, 1)
  assert.equal(stderr, "no test file's path has nowhere in it\n")
})

test('what is in test/kernel runs in a guest kernel, which writes nothing here', { skip: !isLinux }, async (t) => {
  const guests = (await import(join(SCRIPTS, 'guests.mjs'))) as { whyNoGuest(): Promise<string | undefined> }
  const noGuest = await guests.whyNoGuest()
  if (noGuest !== undefined) return t.skip(noGuest)
  mkdirSync(join(project, 'test/kernel'))
  const inside = "if (process.env.FLUX_KERNEL !== 'uml') throw new Error('outside')"
  const written = "fs.writeFileSync('written', '')"
  writeFileSync(join(project, 'test/kernel/inside.test.ts'), `import fs from 'node:fs'\n${inside}\n${written}\n`)
  writeFileSync(join(project, 'test/kernel/wrong.test.ts'), "throw new Error('as meant')\n")
  const { status, stdout, stderr } = setup('test', 'kernel')
  assert.equal(status, 1, stderr)
  assert.match(stdout, /✔ .*inside\.test\.js/)
  assert.match(stdout, /✖ .*wrong\.test\.js/)
  assert.ok(!existsSync(join(project, 'written')))
})

test('the guest kernel is one and the same for every clone', async () => {
  const nameOf = async (scripts: string) => {
    const { recipeOf } = (await import(join(scripts, 'cache.mjs'))) as { recipeOf(script: string): string }
    return recipeOf(join(scripts, 'uml-kernel.mjs'))
  }
  assert.equal(await nameOf(join(project, 'scripts')), await nameOf(SCRIPTS))
})

test('without what a guest needs one line names what is skipped', { skip: !isLinux }, () => {
  mkdirSync(join(project, 'test/kernel'))
  writeFileSync(join(project, 'test/kernel/a.test.ts'), "throw new Error('not to be run')\n")
  setup('build')
  const { status, stdout } = setupWith({ PATH: '/nowhere' }, 'test', 'kernel')
  assert.equal(status, 0)
  assert.match(stdout, /^skipped, because .+: dist\/test\/kernel\/a\.test\.js$/m)
})

test('where its kernel panics that is why, in CI, too, and other tests decide', { skip: !isLinux }, () => {
  const cache = replaceCache()
  replaceIn('scripts/uml-kernel.mjs', /^const MADE = .*$/m, "const MADE = 'made'")
  const files = {
    'made/usr/lib/uml/modules/1.0/modules.dep': '',
    'made/usr/bin/linux.uml': "#!/bin/sh\necho 'Kernel panic - not syncing: put_fp_registers' >&3\nexit 1\n",
  }
  for (const [path, content] of Object.entries(files)) {
    mkdirSync(dirname(join(cache, path)), { recursive: true })
    writeFileSync(join(cache, path), content, { mode: 0o755 })
  }
  mkdirSync(join(project, 'test/kernel'))
  writeFileSync(join(project, 'test/kernel/a.test.ts'), "throw new Error('not to be run')\n")
  const environment = { CI: process.env['CI'] }
  const alone = setupWith(environment, 'test', 'kernel')
  assert.equal(alone.status, 0, alone.stderr)
  const skipped =
    /^skipped, because the guest kernel does not boot: .* put_fp_registers: dist\/test\/kernel\/a\.test\.js$/m
  assert.match(alone.stdout, skipped)
  const withOthers = setupWith(environment, 'test', 'kernel', 'bad')
  assert.equal(withOthers.status, 1)
  assert.match(withOthers.stdout, skipped)
  assert.match(withOthers.stdout, /✖ bad/)
})

test('what another run has cached meanwhile is taken, and what fails leaves nothing', async () => {
  const cache = replaceCache()
  const { cached } = (await import(join(project, 'scripts/cache.mjs'))) as {
    cached(name: string, make: (made: string, path: string) => void): string
  }
  const path = cached('tree', (made, whereto) => {
    for (const [folder, who] of [
      [made, 'us'],
      [whereto, 'them'],
    ] as const) {
      mkdirSync(folder)
      writeFileSync(join(folder, 'made-by'), who)
    }
  })
  assert.equal(readFileSync(join(path, 'made-by'), 'utf8'), 'them')
  const broken = () =>
    cached('broken', (made) => {
      mkdirSync(made)
      throw new Error('as meant')
    })
  assert.throws(broken, /^Error: as meant$/)
  assert.deepEqual(readdirSync(cache), ['tree'])
})

/** Gives the project a cache of its own, and answers its folder. */
function replaceCache(): string {
  const cache = makeTempDir('flux-agent-cache-')
  replaceIn('scripts/cache.mjs', /'\/var\/cache\/[^']*'/, `'${cache}'`)
  return cache
}

function replaceIn(file: string, pattern: RegExp, by: string): void {
  const before = readFileSync(join(project, file), 'utf8')
  assert.match(before, pattern)
  writeFileSync(join(project, file), before.replace(pattern, by))
}
