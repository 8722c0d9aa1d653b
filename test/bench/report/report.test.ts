import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { histogram } from '../../../bench/measure/statistics.js'
import { writePage } from '../../../bench/report/page.js'
import { Report } from '../../../bench/report/report.js'
import { readResults } from '../../../bench/report/results.js'
import { makeTempDir } from '../../../harness/agent.js'

/** From 1 to 1000 ms, each once. */
function thousand() {
  const latencies = histogram()
  for (let ms = 1; ms <= 1000; ms++) latencies.recordValue(ms * 1000)
  return latencies
}

function writtenReport(folder: string): void {
  const report = new Report(folder, 'starts', 'starts & ends')
  const table = report.table('rates <of> "today"', [
    { title: 'way', width: 10 },
    { title: 'a second', digits: 2 },
  ])
  table.row('<script>', 12.3456)
  table.row('unknown', undefined)
  report.curve('to the <answer>', [{ label: 'R&D', histogram: thousand() }])
  report.ratios('beside <it>', [{ label: 'the <fast> one', median: 0.5, min: 0.25, max: 1.5 }], 'the <floor>')
  report.write()
}

test('results can be read back with all their digits', () => {
  const folder = makeTempDir('flux-report-')
  writtenReport(folder)
  const [results] = readResults(folder)
  assert.equal(results?.bench, 'starts')
  assert.deepEqual(results.tables[0]?.rows, [{ way: '<script>', 'a second': 12.3456 }, { way: 'unknown' }])
  assert.deepEqual(results.ratios[0]?.rows, [{ label: 'the <fast> one', median: 0.5, min: 0.25, max: 1.5 }])
})

test('a curve leads from the fastest over the median to the slowest sample', () => {
  const folder = makeTempDir('flux-report-')
  writtenReport(folder)
  const distribution = readResults(folder)[0]?.curves[0]?.series[0]
  assert.equal(distribution?.samples, 1000)
  const at = (percentile: number) => distribution.points.find((point) => point.percentile === percentile)?.ms ?? 0
  const isAbout = (actual: number, ms: number) => assert.ok(Math.abs(actual / ms - 1) < 0.01, `${actual} is not ${ms}`)
  isAbout(at(0), 1)
  isAbout(at(50), 500)
  isAbout(at(100), 1000)
  const { percentile, ms } = distribution.points.at(-2) as { percentile: number; ms: number }
  assert.ok(percentile > 99.8 && percentile <= 99.9, `the last point but one is at ${percentile}`)
  isAbout(ms, 999)
})

test('the page shows all of it, takes texts as texts, and needs nothing from elsewhere', () => {
  const folder = makeTempDir('flux-report-')
  writtenReport(folder)
  const page = readFileSync(writePage(folder), 'utf8')
  const texts = [
    'starts &amp; ends',
    'rates &lt;of&gt; &quot;today&quot;',
    '&lt;script&gt;',
    '12.35',
    'to the &lt;answer&gt;',
    'R&amp;D',
    '1,000 samples',
    'beside &lt;it&gt;',
    'the &lt;fast&gt; one',
    '0.500 (0.250 … 1.500)',
    'ratio to the &lt;floor&gt;',
  ]
  for (const text of texts) assert.ok(page.includes(text), `the page lacks ${text}`)
  assert.doesNotMatch(page, /<script|<link|@import/)
  assert.doesNotMatch(page, /(?:src|href)=(?!"#)|url\((?!#)/)
})

test('a run of one bench leaves the others on the page', () => {
  const folder = makeTempDir('flux-report-')
  writtenReport(folder)
  const skipped = new Report(folder, 'limits', 'with limits')
  skipped.skip('there is no controller')
  skipped.write()
  const page = readFileSync(writePage(folder), 'utf8')
  for (const text of ['id="starts"', 'id="limits"', 'skipped: there is no controller']) assert.ok(page.includes(text))
})

test('a bench that fails leaves no results of an earlier run', () => {
  const folder = makeTempDir('flux-report-')
  writtenReport(folder)
  new Report(folder, 'starts', 'starts & ends')
  assert.deepEqual(readResults(folder), [])
})

test('a curve of nothing is refused with its name', () => {
  const report = new Report(makeTempDir('flux-report-'), 'starts', 'starts & ends')
  assert.throws(() => report.curve('to the answer', [{ label: 'idle', histogram: histogram() }]), /idle: nothing/)
})

test('a file that no bench has written is named, with what to do', () => {
  const folder = makeTempDir('flux-report-')
  writeFileSync(join(folder, 'old.json'), '{"bench":"old"}')
  assert.throws(() => writePage(folder), /old\.json is not what these benches write: run its bench again, or remove it/)
})
