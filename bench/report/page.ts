import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { curveChart, ratioChart, seriesLine } from './charts.js'
import { type Column, type Distribution, type Results, readResults, showCell } from './results.js'
import { STYLE } from './style.js'

/** Writes one page with all results in a folder; answers its path. */
export function writePage(folder: string): string {
  const file = join(folder, 'report.html')
  writeFileSync(file, page(readResults(folder)))
  return file
}

function page(all: readonly Results[]): string {
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>flux-agent benches</title>
<style>${STYLE}</style>
</head>
<body>
<h1>flux-agent benches</h1>
${HOW_TO_READ}
<nav>${each(all, ({ bench }) => `<a href="#${escaped(bench)}">${escaped(bench)}</a>`)}</nav>
${each(all, section)}
</body>
</html>
`
}

const HOW_TO_READ = `<p><strong>Read ratios, not rates.</strong> What a start costs differs between machines by a factor
of ten, and on one machine by a factor of two from minute to minute. What is compared is measured in turns, and each
figure is divided by that of its own round.</p>
<ul>
<li>Bars are the medians of these ratios, whiskers the lowest and the highest: where they lie far apart, the machine was
busy with something else.</li>
<li>Curves are latency distributions. The share of slower calls shrinks by ten from one mark to the next: at 99 one call
of a hundred is slower. A curve ends at its slowest call; lower is better.</li>
<li>In a closed loop each lane calls again when it has been answered. While something hangs nobody calls, so waiting
shows in the rate, hardly in the percentiles: compare such curves with the rates beside them.</li>
<li>Sections may be of different times and machines; each says which.</li>
</ul>`

function section(results: Results): string {
  const { bench, about, skipped, curves, ratios, tables } = results
  const charts = [
    ...ratios.map(({ title, against, rows }) => figure(title, ratioChart(rows, against))),
    ...curves.map(({ title, series }) => figure(title, legend(series) + curveChart(series))),
  ]
  return `<section>
<h2 id="${escaped(bench)}">${escaped(bench)}</h2>
<p>${escaped(about)}</p>
<p class="measured">${escaped(measured(results))}</p>
${skipped === undefined ? '' : `<p>skipped: ${escaped(skipped)}</p>`}
<div class="charts">${charts.join('\n')}</div>
${each(tables, table)}
</section>`
}

function measured({ begun, seconds, machine }: Results): string {
  const { cores, cpu, kernel, arch, node, load_before, load_after } = machine
  const load = (averages: readonly number[]) => averages[0]?.toFixed(1)
  return [
    `${begun.slice(0, 16).replace('T', ' ')} UTC, ${seconds.toFixed(0)} s`,
    `${cores} cores, ${cpu}`,
    `Linux ${kernel} ${arch}, Node ${node}`,
    `load ${load(load_before)} before, ${load(load_after)} after`,
  ].join(' · ')
}

function figure(title: string, contents: string): string {
  return `<figure>\n<figcaption>${escaped(title)}</figcaption>\n${contents}\n</figure>`
}

function legend(series: Results['curves'][number]['series']): string {
  const entry = ({ label, samples }: Distribution, i: number) => {
    const { color, type } = seriesLine(i)
    return `<li style="--line: ${type} ${color}">${escaped(label)} <small>${samples.toLocaleString('en')} samples</small></li>`
  }
  return `<ul class="legend">\n${each(series, entry)}\n</ul>\n`
}

function table({ title, columns, rows }: Results['tables'][number]): string {
  const row = (tag: 'th' | 'td', show: (column: Column) => string) => {
    const cell = (column: Column) => {
      const attributes = column.width === undefined ? '' : ' class="text"'
      return `<${tag}${attributes}>${escaped(show(column))}</${tag}>`
    }
    return `<tr>${columns.map(cell).join('')}</tr>`
  }
  return `<h3>${escaped(title)}</h3>
<div class="table"><table>
<thead>${row('th', (column) => column.title)}</thead>
<tbody>
${each(rows, (cells) => row('td', (column) => showCell(cells[column.title], column)))}
</tbody>
</table></div>`
}

const ENTITIES: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' }

function escaped(text: string): string {
  return text.replace(/[&<>"]/g, (character) => ENTITIES[character] as string)
}

function each<T>(items: readonly T[], show: (item: T, index: number) => string): string {
  return items.map(show).join('\n')
}
