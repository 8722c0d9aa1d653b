import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { eventually } from '../../harness/eventually.js'
import { type Clone, makeClone, portTaken, runBlocks, runnable, startIn } from './clone.js'
import { PAGES, type Page, parsePage, ROOT, readPage } from './markdown.js'

const BUILD_SECONDS = 300
const PAGE_SECONDS = 300
/** After the first one. */
const FURTHER_AGENTS = process.env['CI'] ? [2, 3] : [2]
const skip = process.platform === 'linux' ? await portTaken() : 'the shell of these pages is bash'

const pages = PAGES.map(readPage)
/** Each of them is run, or says why not. */
const shell = pages.flatMap((page) =>
  page.blocks.filter(({ language }) => language === 'sh').map((block) => ({ page, ...block })),
)

describe('a block of shell', () => {
  it('is run here, or names its test, or says why not', () => {
    for (const { page, line, mark } of shell) {
      const [, tried] = /^tried-by=(\S+)$/.exec(mark) ?? []
      const where = `${page.path}:${line}`
      if (tried !== undefined) assert.ok(existsSync(join(ROOT, tried)), `${where}: there is no ${tried}`)
      else assert.match(mark, /^(|not-run: \S.*)$/, where)
    }
  })

  it('has no other name for its language', () => {
    for (const { path, blocks } of pages) {
      for (const { language, line } of blocks) assert.ok(!/^(bash|shell|console|)$/.test(language), `${path}:${line}`)
    }
  })

  it('tells by its line where it fails', async () => {
    const page = parsePage(
      'page.md',
      ['# A page', '```sh', 'alias yes="true"', 'yes', 'false', 'true', '```'].join('\n'),
    )
    const here = { dir: ROOT, env: { PATH: process.env['PATH'] } }
    assert.deepEqual(await runBlocks(here, page, 10), { code: 1, printed: 'page.md:5 failed\n' })
  })

  it('ends with its shell, and after its time', async () => {
    const page = parsePage('page.md', ['```sh', 'sleep 60 &', 'echo begun', 'sleep 60', '```'].join('\n'))
    const here = { dir: ROOT, env: { PATH: process.env['PATH'] } }
    assert.deepEqual(await runBlocks(here, page, 5), { code: null, printed: 'begun\n' })
  })
})

describe('in a fresh clone', { skip }, () => {
  let clone: Clone

  before(() => {
    clone = makeClone()
    const { dir: cwd, env } = clone
    // With the machine's network, from which what is missing comes.
    const built = spawnSync('npm', ['run', 'build'], { cwd, env, encoding: 'utf8', timeout: BUILD_SECONDS * 1000 })
    assert.equal(built.status, 0, built.stdout + built.stderr)
  })

  for (const page of pages.filter((page) => runnable(page).length > 0)) {
    it(`every line of shell can be run: ${page.path}`, async () => {
      const { code, printed } = await runBlocks(clone, page, PAGE_SECONDS)
      assert.equal(code, 0, printed)
      assert.match(printed, EXPECTED[page.path] ?? assert.fail('this test does not know what it prints'))
    })
  }

  describe('npm run dev', () => {
    let dev: ReturnType<typeof startIn>
    const served = () => dev.printed().split('"serving"').length - 1
    const stopped = () => dev.printed().split('"stopped"').length - 1
    const isBuilt = (text: string) =>
      readFileSync(join(clone.dir, 'dist/src/main/rpc/server.js'), 'utf8').includes(text)
    const change = (path: string, by: (text: string) => string) => {
      const file = join(clone.dir, path)
      const before = readFileSync(file, 'utf8')
      const after = by(before)
      assert.notEqual(after, before, path)
      writeFileSync(file, after)
    }
    before(() => {
      dev = startIn(clone, 'npm', 'run', 'dev')
    })
    after(() => dev.signal('SIGKILL'))

    it('starts an agent, and another when a source has changed', async () => {
      await eventually('the agent serves', () => served() === 1, 60)
      for (const agents of FURTHER_AGENTS) {
        saveByRename(join(clone.dir, 'src/version.ts'), `// Changed for agent ${agents}.\n`)
        await eventually('another agent serves', () => served() === agents, 120)
      }
      assert.match(dev.printed(), /"stopped"/)
    })

    it('takes the call that CONTRIBUTING has as an example', async () => {
      const [proto, ts, line] = readPage('CONTRIBUTING.md').blocks.flatMap(({ language, lines }) =>
        /^(proto|ts)$/.test(language) ? [lines] : [],
      )
      const [rpc = '', ...messages] = proto ?? []
      const before = served()
      change('proto/operations.proto', (text) => text.replace(/(?=^\})/m, `  ${rpc}\n`) + messages.join('\n'))
      writeFileSync(join(clone.dir, 'src/main/rpc/uptime.ts'), `${ts?.join('\n')}\n`)
      change('src/main/rpc/server.ts', (text) => {
        const added = text.replace(/^ *(?=ListExecutions:)/m, `    ${line?.join('')}\n$&`)
        return `import { uptime } from './uptime.js'\n${added}`
      })
      await eventually('the agent has it', () => served() > before && isBuilt(' Uptime:'), 120)
    })

    it('leaves the agent where it cannot be built', async () => {
      writeFileSync(join(clone.dir, 'src/version.ts'), 'no TypeScript')
      await eventually('the build fails', () => dev.printed().includes('not built: the agent goes on as it was'), 120)
      await eventually('an agent serves', () => served() === stopped() + 1, 60)
    })

    it('ends with its agent', async () => {
      dev.signal('SIGTERM')
      await dev.ended
      assert.equal(stopped(), served())
    })
  })
})

/** As many editors save. */
function saveByRename(file: string, more: string): void {
  writeFileSync(`${file}~`, readFileSync(file, 'utf8') + more)
  renameSync(`${file}~`, file)
}

/** Of each page that has lines to run, what these print at least. */
const EXPECTED: Readonly<Record<Page['path'], RegExp>> = {
  'README.md':
    /All as expected[\s\S]*\bfail 0[\s\S]*(ok|warn) +launcher[\s\S]*Hello, world![\s\S]*Hello, again![\s\S]*stopped the agent/,
  'CONTRIBUTING.md': /scripts\/build\.mjs/,
  'docs/install.md': /ok +node/,
}
