import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

export const ROOT = fileURLToPath(new URL('../../../', import.meta.url))

/** Every page that people read, below ROOT. */
export const PAGES: readonly string[] = [
  'README.md',
  'CONTRIBUTING.md',
  'SECURITY.md',
  'CHANGELOG.md',
  'bench/README.md',
  ...readdirSync(join(ROOT, 'docs'))
    .filter((name) => name.endsWith('.md'))
    .map((name) => `docs/${name}`),
]

export interface Block {
  /** The first word behind the fence, and what follows it. */
  readonly language: string
  readonly mark: string
  /** Of its first line of code, from 1 on. */
  readonly line: number
  readonly lines: readonly string[]
}

export interface Link {
  readonly target: string
  readonly line: number
}

export interface Page {
  readonly path: string
  readonly lineCount: number
  readonly blocks: readonly Block[]
  readonly links: readonly Link[]
  /** What `#` may be followed by, as GitHub makes it of the headings. */
  readonly anchors: ReadonlySet<string>
  /** Each heading with what stands below it, up to the next of any level. */
  readonly sections: ReadonlyMap<string, string>
}

export function readPage(path: string): Page {
  return parsePage(path, readFileSync(join(ROOT, path), 'utf8'))
}

export function parsePage(path: string, text: string): Page {
  const lines = text.replace(/\n$/, '').split('\n')
  const blocks: Block[] = []
  // With the code blanked out, so that lines keep their numbers.
  const prose: string[] = []
  for (let at = 0; at < lines.length; at++) {
    const line = lines[at] ?? ''
    const [, indent, language, mark] = /^( *)```(\S+)?\s*(.*)$/.exec(line) ?? []
    prose.push(indent === undefined ? line : '')
    if (indent === undefined) continue
    const code: string[] = []
    while (++at < lines.length && lines[at]?.trim() !== '```') code.push((lines[at] ?? '').slice(indent.length))
    blocks.push({ language: language ?? '', mark: mark ?? '', line: at - code.length + 1, lines: code })
    prose.push(...code.map(() => ''), '')
  }
  return {
    path,
    lineCount: lines.length,
    blocks,
    links: linksOf(prose.join('\n')),
    anchors: anchorsOf(prose),
    sections: sectionsOf(prose),
  }
}

function linksOf(prose: string): Link[] {
  // Code spans are no links, and keep their length.
  const text = prose.replace(/`[^`\n]+`/g, (span) => ' '.repeat(span.length))
  return [...text.matchAll(/\[(?:[^[\]]|\[[^\]]*\])*\]\(([^()\s]+)\)/g)].map(({ 1: target = '', index, 0: whole }) => ({
    target,
    line: text.slice(0, index + whole.length).split('\n').length,
  }))
}

const HEADING = /^#{1,6} +(.+?) *#*$/

function anchorsOf(prose: readonly string[]): Set<string> {
  const anchors = new Set<string>()
  for (const line of prose) {
    const [, heading] = HEADING.exec(line) ?? []
    if (heading === undefined) continue
    const slug = heading
      .toLowerCase()
      .replace(/\]\([^)]*\)/g, '')
      .replace(/[^\p{L}\p{N}\s_-]/gu, '')
      .replaceAll(' ', '-')
    let anchor = slug
    for (let again = 1; anchors.has(anchor); again++) anchor = `${slug}-${again}`
    anchors.add(anchor)
  }
  return anchors
}

function sectionsOf(prose: readonly string[]): Map<string, string> {
  const sections = new Map<string, string>()
  let current = ''
  for (const line of prose) {
    const [, heading] = HEADING.exec(line) ?? []
    if (heading !== undefined) current = heading
    else sections.set(current, `${sections.get(current) ?? ''}${line}\n`)
  }
  return sections
}
