import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, posix } from 'node:path'
import { describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'

const ROOT = fileURLToPath(new URL('../../../', import.meta.url))

/** The rooms of src, and which others the files of each may import. A room's own files are always among them. */
const ROOMS: Readonly<Record<string, readonly string[]>> = {
  installation: [],
  time: [],
  log: [],
  ids: [],
  /** The launcher's protocol. */
  os: ['generated/native', 'installation', 'time'],
  archive: [],
  access: [],
  store: ['access', 'os', 'time'],
  config: ['access', 'archive', 'os', 'store'],
  tls: ['config'],
  host: ['', 'archive', 'config', 'log', 'os', 'store'],
  threads: ['archive', 'ids', 'log', 'os', 'store'],
  workers: ['ids', 'log', 'os', 'store', 'threads', 'workers/execution'],
  'workers/execution': ['os', 'store', 'threads', 'time', 'workers'],
  'workers/deploy': ['archive', 'os', 'threads'],
  'main/tracing': ['', 'access', 'config', 'log', 'store', 'threads', 'time'],
  'main/store': ['config', 'host', 'log', 'store'],
  'main/functions': ['archive', 'generated', 'host', 'installation', 'log', 'os', 'store', 'threads'],
  /** What is counted knows nobody who has it counted. */
  'main/metrics': ['', 'host', 'os', 'store', 'threads', 'tls'],
  'main/http': ['', 'host', 'installation', 'log', 'main/metrics', 'threads'],
  'main/executions': [
    ...['config', 'host', 'ids', 'installation', 'log', 'os', 'store', 'threads', 'time'],
    ...['main/functions', 'main/metrics', 'main/tracing'],
  ],
  'main/rpc': [
    ...['', 'generated', 'host', 'log', 'os', 'threads', 'time', 'tls'],
    ...['main/executions', 'main/functions', 'main/metrics', 'main/store', 'main/tracing'],
  ],
  main: [
    ...['', 'config', 'host', 'ids', 'log', 'os', 'store', 'threads', 'tls'],
    ...['main/executions', 'main/functions', 'main/http', 'main/metrics', 'main/rpc', 'main/store', 'main/tracing'],
  ],
  cli: [
    '',
    'archive',
    'config',
    'generated',
    'host',
    'log',
    'main',
    'main/functions',
    'main/store',
    'main/tracing',
    'os',
    'store',
    'tls',
  ],
  /** proto.ts and version.ts. */
  '': ['generated', 'installation'],
}

/** Folders beside src, and which others the files of each may import. */
const FOLDERS: Readonly<Record<string, readonly string[]>> = {
  src: [],
  scripts: ['harness'],
  packaging: ['scripts', 'src'],
  harness: ['src'],
  examples: ['src', 'harness'],
  bench: ['src', 'harness'],
  test: ['src', 'harness', 'bench', 'examples', 'scripts'],
}

/** Paths of what each file imports, types included, below the repository. */
const imports = new Map<string, readonly string[]>()
for (const folder of Object.keys(FOLDERS)) {
  for (const entry of readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })) {
    const file = `${folder}/${entry.replaceAll('\\', '/')}`
    if (/\.(ts|mjs)$/.test(file) && !/generated|node_modules/.test(file)) imports.set(file, importsOf(file))
  }
}

function importsOf(file: string): string[] {
  const source = readFileSync(join(ROOT, file), 'utf8')
  const specifiers = [...source.matchAll(/(?:\bfrom|\bimport|\bimport\()\s*'(\.{1,2}\/[^']+)'/g)]
  return specifiers.map(([, path = '']) => {
    const target = posix.join(dirname(file).replaceAll('\\', '/'), path)
    return (target.startsWith('dist/') ? target.slice('dist/'.length) : target).replace(/\.js$/, '.ts')
  })
}

function roomOf(file: string): string {
  if (file === 'src/installation.ts') return 'installation'
  const parts = dirname(file).split('/').slice(1)
  if (parts[0] === 'generated') return parts[1] === 'native' ? 'generated/native' : 'generated'
  for (let depth = parts.length; depth > 0; depth--) {
    const room = parts.slice(0, depth).join('/')
    if (room in ROOMS) return room
  }
  return parts[0] ?? ''
}

function arrows(from: (file: string) => string, known: typeof ROOMS, files = [...imports.keys()]): string[] {
  return files.flatMap((file) => {
    const allowed = new Set([from(file), ...(known[from(file)] ?? [])])
    const wrong = (imports.get(file) ?? []).filter((target) => !allowed.has(from(target)))
    return wrong.map((target) => `${file} imports ${target}`)
  })
}

/** Each circle once, by a file of it that is met first. */
function circles(): string[] {
  const done = new Set<string>()
  const found: string[] = []
  const visit = (file: string, path: readonly string[]) => {
    if (path.includes(file)) found.push([...path.slice(path.indexOf(file)), file].join(' → '))
    if (done.has(file) || path.includes(file)) return
    for (const target of imports.get(file) ?? []) visit(target, [...path, file])
    done.add(file)
  }
  for (const file of imports.keys()) visit(file, [])
  return found
}

describe('the imports between files', () => {
  const sources = [...imports.keys()].filter((file) => file.startsWith('src/'))

  it('go only to the rooms that a room of src may know', () => {
    assert.ok(sources.length > 150)
    assert.deepEqual(arrows(roomOf, ROOMS, sources), [])
  })

  it('need every arrow that is allowed', () => {
    const used = new Set(
      sources.flatMap((file) => (imports.get(file) ?? []).map((to) => `${roomOf(file)} → ${roomOf(to)}`)),
    )
    const allowed = Object.entries(ROOMS).flatMap(([room, others]) => others.map((other) => `${room} → ${other}`))
    assert.deepEqual(
      allowed.filter((arrow) => !used.has(arrow)),
      [],
    )
  })

  it('go only to the folders that a folder of the repository may know', () => {
    assert.deepEqual(
      arrows((file) => file.split('/')[0] ?? '', FOLDERS),
      [],
    )
  })

  it('are no circle, not even of types', () => {
    assert.deepEqual(circles(), [])
  })
})
