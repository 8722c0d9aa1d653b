// Writes metrics.md from the table of the agent's metrics. Build first.
//   node docs/metrics.mjs            writes it
//   node docs/metrics.mjs --check    fails where it is stale
import { METRICS } from '../dist/src/main/metrics/table.js'
import { writePage } from './page.mjs'

writePage('metrics.md', { METRICS: table() })

function table() {
  const rows = METRICS.map(({ name, type, labels, help }) => {
    const said = Object.entries(labels).map(([label, what]) => `\`${label}\`: ${what}`)
    return `| \`${name}\` | ${type} | ${help} | ${said.join('<br>')} |`
  })
  return ['| metric | type | what it says | labels |', '| --- | --- | --- | --- |', ...rows].join('\n')
}
