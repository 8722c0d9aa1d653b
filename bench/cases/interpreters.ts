import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { buildZip, PROGRAM } from '../../harness/zip.js'
import type { Bench } from '../bench.js'
import { type Server, withServers } from '../measure/control.js'
import { deployFunction } from '../measure/deploy.js'
import { noSeparateStarts } from '../measure/start-pool.js'
import { median, spread } from '../measure/statistics.js'
import type { Report } from '../report/report.js'
import { targetsOf } from '../targets/own-targets.js'

const ROUNDS = 7
/** In each round, from the third execution on: interpreters may write their caches in the first two. */
const LATER = 7
const MODULES = 120
const OUTPUT = 'ok\n'

/** A program that loads modules of its own, as functions with dependencies do. */
interface Language {
  readonly name: string
  /** Its handler is `main`. */
  readonly zip: Buffer
  readonly outputBytes: number
}

/** As on a node; otherwise agents of benches run functions as their own user. */
const SEPARATE = noSeparateStarts() === undefined ? { run_as: 'nobody', apps_dir: './apps' } : {}
/** An agent's own user may write beside the code: as read-only code does not. */
const READ_ONLY = { PYTHONDONTWRITEBYTECODE: '1' }

/** Milliseconds of executions, by round. */
interface Times {
  readonly first: number[]
  readonly second: number[]
  readonly later: number[]
}

export const interpreters: Bench = {
  name: 'interpreters',
  about: `scripts of python3 and node with ${MODULES} modules, and of sh: with what interpreters keep, and without`,
  ofMachine: true,

  run: (report) =>
    withAgent(true, (caching) => withAgent(false, (uncaching) => measure(report, { caching, uncaching }))),
}

function withAgent(codeCache: boolean, use: (server: Server) => Promise<void>): Promise<void> {
  const needs = { store: 'embedded', config: { ...SEPARATE, functions: { code_cache: codeCache } } } as const
  return withServers(targetsOf([]), needs, ([server]) => use(server as Server))
}

async function measure(
  report: Report,
  { caching, uncaching }: { readonly caching: Server; readonly uncaching: Server },
): Promise<void> {
  const table = report.table('milliseconds from the call to the answer, after a deploy', [
    { title: 'interpreter', width: 18 },
    { title: 'cache', width: 7 },
    ...['first', 'second', 'later', 'min', 'max'].map((title) => ({ title, digits: 1 })),
    { title: 'ratio', digits: 2 },
  ])
  const bars: { label: string; median: number; min: number; max: number }[] = []
  for (const { name, zip } of languages(report)) {
    const [kept, not] = [times(), times()]
    for (let round = 0; round < ROUNDS; round++) {
      report.progress(`${name}, round ${round + 1} of ${ROUNDS}`)
      await addRound(kept, caching, { zip, env: {} }, round)
      await addRound(not, uncaching, { zip, env: READ_ONLY }, round)
    }
    const ratios = kept.later.map((ms, round) => ms / (not.later[round] as number))
    for (const [cache, { first, second, later }] of [
      ['without', not],
      ['with', kept],
    ] as const) {
      const { median: middle, min, max } = spread(later)
      table.row(name, cache, median(first), median(second), middle, min, max, cache === 'with' ? median(ratios) : 1)
    }
    bars.push({ label: name, ...spread(ratios) })
  }
  report.ratios('later executions, with a cache', bars, 'the same without')
}

function times(): Times {
  return { first: [], second: [], later: [] }
}

/** A function of its own in each round, so that its caches are empty. */
async function addRound(
  times: Times,
  { calls }: Server,
  { zip, env }: { readonly zip: Buffer; readonly env: Record<string, string> },
  round: number,
): Promise<void> {
  const name = `bench-interpreted-${round}`
  await deployFunction({ calls }, { name, handler: 'main', env }, zip)
  const execute = async () => {
    const begun = performance.now()
    const { output, error } = await calls.execute({ function_name: name, args: [] })
    assert.deepEqual({ error, output: output.toString() }, { error: '', output: OUTPUT })
    return performance.now() - begun
  }
  times.first.push(await execute())
  times.second.push(await execute())
  const later: number[] = []
  for (let at = 0; at < LATER; at++) later.push(await execute())
  times.later.push(median(later))
}

/** Those that are on this machine. */
export function languages(report: Report): Language[] {
  const modules = Array.from({ length: MODULES }, (_, at) => `m${at}`)
  const python = modules.map((name) => ({ name: `modules/${name}.py`, contents: repeated(pythonFunction) }))
  const node = modules.map((name) => ({ name: `modules/${name}.js`, contents: repeated(nodeFunction) }))
  const all = [
    { program: 'python3', files: python, main: `from modules import ${modules.join(', ')}\nprint("ok")` },
    {
      program: 'node',
      files: node,
      main: `${modules.map((name) => `require('./modules/${name}.js')`).join('\n')}\nconsole.log('ok')`,
    },
    { program: 'sh', files: [], main: 'echo ok' },
  ]
  return all.flatMap(({ program, files, main }) => {
    const version = program === 'sh' ? '' : spawnSync(program, ['--version'], { encoding: 'utf8' }).stdout
    if (version === null) {
      report.progress(`${program} is not here`)
      return []
    }
    const name = `${program} ${/\d+\.\d+/.exec(version)?.[0] ?? ''}`.trim()
    const handler = { name: 'main', contents: `#!/usr/bin/env ${program}\n${main}\n`, mode: PROGRAM }
    return [{ name, zip: buildZip([handler, ...files]), outputBytes: OUTPUT.length }]
  })
}

function repeated(of: (at: number) => string): string {
  return Array.from({ length: 60 }, (_, at) => of(at)).join('')
}

function pythonFunction(at: number): string {
  return `def f${at}(a, b=None, *c, **d):\n    x = [y for y in range(${at}) if y % 2]\n    return dict(a=a, b=b, c=c, x=x, **d)\n\n`
}

function nodeFunction(at: number): string {
  return `exports.f${at} = (a, ...b) => { const x = Array.from({ length: ${at} }, (_, i) => i * a); return { a, b, x } }\n`
}
