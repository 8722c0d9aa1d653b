import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { join, posix } from 'node:path'
import { describe, it } from 'node:test'
import { PAGES, type Page, parsePage, ROOT, readPage } from './markdown.js'

const pages = new Map<string, Page>(PAGES.map((path) => [path, readPage(path)]))

/** What is wrong with the links of a page, a line each. Nothing is asked of the network. */
function problemsOf(page: Page): string[] {
  return page.links.flatMap(({ target, line }) => {
    const problem = problemOf(page, target)
    return problem === undefined ? [] : [`${page.path}:${line}: ${target}: ${problem}`]
  })
}

function problemOf(page: Page, target: string): string | undefined {
  if (/^[a-z]+:/i.test(target)) {
    return URL.canParse(target) && isPublic(new URL(target)) ? undefined : 'is no address with https://'
  }
  if (target.startsWith('/')) return 'is absolute: write it relative to this page'
  const [path = '', anchor] = target.split('#')
  const file = path === '' ? page.path : posix.join(posix.dirname(page.path), path)
  if (file !== page.path && !existsSync(join(ROOT, file))) return 'there is no such file'
  if (anchor === undefined) return undefined
  const other = file === page.path ? page : pages.get(file)
  if (!other) return 'only the pages have anchors'
  return other.anchors.has(anchor) ? undefined : `no heading of ${file} has that anchor`
}

function isPublic({ protocol, hostname }: URL): boolean {
  return protocol === 'https:' && hostname.includes('.')
}

describe('the links of the documents', () => {
  for (const page of pages.values()) {
    it(`lead somewhere: ${page.path}`, () => {
      assert.deepEqual(problemsOf(page), [])
    })
  }

  it('lead from the README to every page, within two steps', () => {
    const found = new Set(['README.md'])
    for (const _step of [1, 2]) {
      for (const path of [...found]) {
        for (const { target } of pages.get(path)?.links ?? []) {
          found.add(posix.join(posix.dirname(path), target.split('#')[0] ?? ''))
        }
      }
    }
    assert.deepEqual(
      PAGES.filter((path) => !found.has(path)),
      [],
    )
  })

  it('are told where they lead nowhere', () => {
    const page = parsePage(
      'docs/made-up.md',
      [
        '# A page, `made` up',
        '[here](#a-page-made-up) [gone](#gone) [file](install.md)',
        'over [two',
        'lines](../src/gone.ts) and `[code](gone.md)`',
        '```sh',
        '[code](gone.md)',
        '```',
        '[anchor](install.md#windows) [no anchor](install.md#dos) [plain](http://example.com) [absolute](/README.md)',
      ].join('\n'),
    )
    assert.deepEqual(problemsOf(page), [
      'docs/made-up.md:2: #gone: no heading of docs/made-up.md has that anchor',
      'docs/made-up.md:4: ../src/gone.ts: there is no such file',
      'docs/made-up.md:8: install.md#dos: no heading of docs/install.md has that anchor',
      'docs/made-up.md:8: http://example.com: is no address with https://',
      'docs/made-up.md:8: /README.md: is absolute: write it relative to this page',
    ])
  })
})

describe('the README', () => {
  it('is a door, not the house', () => {
    const { lineCount } = readPage('README.md')
    assert.ok(lineCount <= 110, `${lineCount} lines: what is new belongs into docs/`)
  })
})
