import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { makeTempDir } from '../../harness/agent.js'

export const isLinux = process.platform === 'linux'
export const SCRIPTS = fileURLToPath(new URL('../../../scripts', import.meta.url))

/** Stands in for the compiler: copies each source to dist/, and fails in the end where one says so. */
const TSC = `
const { cpSync, readdirSync, readFileSync } = require('node:fs')
for (const name of readdirSync('.', { recursive: true })) {
  if (!/^(src|test).*\\.ts$/.test(name)) continue
  if (readFileSync(name, 'utf8').includes('BROKEN')) process.exitCode = 2
  cpSync(name, 'dist/' + name.replace(/ts$/, 'js'))
}
`

/** Stands in for the bundler: makes the folder, and nothing in it. */
const BUNDLER = `
const { mkdirSync } = require('node:fs')
exports.buildSync = ({ outdir }) => {
  mkdirSync(outdir, { recursive: true })
  return { metafile: { outputs: {} } }
}
`

const FILES = {
  'package.json': JSON.stringify({
    name: 'project',
    type: 'module',
    scripts: { generate: 'node -e "fs.mkdirSync(\'src/generated\')"' },
    dependencies: { typescript: 'file:compiler', esbuild: 'file:bundler' },
  }),
  'compiler/package.json': JSON.stringify({ name: 'typescript', version: '1.0.0', type: 'commonjs' }),
  'compiler/bin/tsc': TSC,
  'bundler/package.json': JSON.stringify({ name: 'esbuild', version: '1.0.0', type: 'commonjs', main: 'main.js' }),
  'bundler/main.js': BUNDLER,
  'tsconfig.json': '{}',
  'proto/a.proto': '',
  'src/a.ts': 'export const a = 1\n',
  'src/b.ts': 'export const b = 1\n',
  'native/launcher/launcher.h': '#define CODE 0\n',
  'native/launcher/launcher.c': '#include "launcher.h"\nint main(void) { return CODE; }\n',
  'native/notifier/notifier.c': 'int main(void) { return 0; }\n',
  'native/sandbox/sandbox.c': 'int main(void) { return 0; }\n',
  'test/good.test.ts': "import { test } from 'node:test'\ntest('good', () => {})\n",
  'test/bad.test.ts': "import { test } from 'node:test'\ntest('bad', () => { throw new Error('as meant') })\n",
}

/** What npm would write of these packages. */
const LOCK = {
  name: 'project',
  lockfileVersion: 3,
  requires: true,
  packages: {
    '': { name: 'project', dependencies: { esbuild: 'file:bundler', typescript: 'file:compiler' } },
    bundler: { name: 'esbuild', version: '1.0.0' },
    compiler: { name: 'typescript', version: '1.0.0' },
    'node_modules/esbuild': { resolved: 'bundler', link: true },
    'node_modules/typescript': { resolved: 'compiler', link: true },
  },
}

/** A project as small as one can be that the scripts take for their own. */
export class Project {
  private constructor(readonly dir: string) {}

  /** Nothing is installed yet. */
  static make(): Project {
    const project = new Project(makeTempDir('flux-agent-setup-'))
    for (const [path, content] of Object.entries(FILES)) project.write(path, content)
    cpSync(SCRIPTS, join(project.dir, 'scripts'), { recursive: true })
    // There is no agent to start.
    project.write('scripts/code-cache.mjs', '')
    project.write('package-lock.json', JSON.stringify(LOCK))
    return project
  }

  copy(): Project {
    const dir = makeTempDir('flux-agent-setup-')
    cpSync(this.dir, dir, { recursive: true, verbatimSymlinks: true })
    return new Project(dir)
  }

  write(path: string, content: string): void {
    mkdirSync(dirname(join(this.dir, path)), { recursive: true })
    writeFileSync(join(this.dir, path), content)
  }

  run(script: 'build' | 'test', ...args: string[]) {
    return this.runWith({}, script, ...args)
  }

  runWith(variables: NodeJS.ProcessEnv, script: 'build' | 'test', ...args: string[]) {
    // The runner would report to this one, not to its own output.
    const { NODE_TEST_CONTEXT: _context, CI: _ci, ...env } = process.env
    const { status, stdout, stderr } = spawnSync(process.execPath, [`scripts/${script}.mjs`, ...args], {
      cwd: this.dir,
      env: { ...env, ...variables },
      encoding: 'utf8',
    })
    return {
      status,
      lines: stdout.split('\n').filter((line) => /^(installing|generating|compiling|bundling)/.test(line)),
      stdout,
      stderr,
    }
  }

  /** Gives the project a cache of its own, and answers its folder. */
  replaceCache(): string {
    const cache = makeTempDir('flux-agent-cache-')
    this.replaceIn('scripts/cache.mjs', /'\/var\/cache\/[^']*'/, `'${cache}'`)
    return cache
  }

  replaceIn(file: string, pattern: RegExp, by: string): void {
    const before = readFileSync(join(this.dir, file), 'utf8')
    assert.match(before, pattern)
    writeFileSync(join(this.dir, file), before.replace(pattern, by))
  }
}
