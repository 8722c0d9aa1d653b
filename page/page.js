// Shows /status.json, and asks again every few seconds. Texts come from strangers: they get into the page as text alone.
const EVERY_MS = 5_000
const LIMIT_MS = 10_000
const DAY_MS = 86_400_000
const SVG = 'http://www.w3.org/2000/svg'
const WIDTH = 300
const HEIGHT = 80

let shownAt

function byId(id) {
  return document.getElementById(id)
}

function element(name, attributes = {}, ...children) {
  const made = document.createElement(name)
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value)
  made.append(...children)
  return made
}

function list(id, entries) {
  byId(id).replaceChildren(
    ...Object.entries(entries).flatMap(([term, said]) => [
      element('dt', {}, term),
      element('dd', {}, `${said ?? '–'}`),
    ]),
  )
}

function table(id, titles, rows, none) {
  const cells = (row) => row.map((cell, at) => element('td', { 'data-of': titles[at] }, `${cell ?? '–'}`))
  if (rows.length === 0) return byId(id).replaceChildren(element('caption', {}, none))
  byId(id).replaceChildren(
    element('thead', {}, element('tr', {}, ...titles.map((title) => element('th', {}, title)))),
    element('tbody', {}, ...rows.map((row) => element('tr', {}, ...cells(row)))),
  )
}

function size(bytes) {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB']
  let at = 0
  let left = bytes
  while (left >= 1024 && at < units.length - 1) {
    left /= 1024
    at++
  }
  return `${at === 0 ? left : left.toFixed(1)} ${units[at]}`
}

function time(seconds) {
  if (seconds === undefined || seconds === null) return '–'
  const ms = seconds * 1000
  if (seconds < 1) return `${ms < 10 ? ms.toFixed(1) : Math.round(ms)} ms`
  if (seconds < 120) return `${seconds.toFixed(1)} s`
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`
  return seconds < 172_800 ? `${Math.round(seconds / 3600)} h` : `${Math.round(seconds / 86_400)} days`
}

function rate(value) {
  return value === undefined ? '–' : `${value < 10 ? value.toFixed(1) : Math.round(value)}/s`
}

function since(moment) {
  return time(Math.max(0, Date.now() - new Date(moment).getTime()) / 1000)
}

/** Two lines over the last quarter of an hour; a moment without a value is a gap. */
function chart({ title, lines, show }, moments, everyMs) {
  const values = lines.flatMap(({ key }) => moments.map((moment) => moment[key] ?? 0))
  const most = Math.max(...values, 0)
  const svg = document.createElementNS(SVG, 'svg')
  svg.setAttribute('viewBox', `0 0 ${WIDTH} ${HEIGHT}`)
  svg.setAttribute('preserveAspectRatio', 'none')
  svg.setAttribute('role', 'img')
  svg.setAttribute('aria-label', title)
  const slots = (15 * 60_000) / everyMs
  const place = (value, at) => {
    const x = WIDTH - ((moments.length - 1 - at) / (slots - 1)) * WIDTH
    const y = HEIGHT - 3 - (most === 0 ? 0 : (value / most) * (HEIGHT - 8))
    return `${x.toFixed(1)},${y.toFixed(1)}`
  }
  for (const { key, kind } of lines) {
    for (const part of parts(moments, key)) {
      const line = document.createElementNS(SVG, 'polyline')
      // A point alone is drawn as a short line.
      const points = part.map(([value, at]) => place(value, at))
      if (points.length === 1) points.push(place(part[0][0], part[0][1] - 0.5))
      line.setAttribute('points', points.join(' '))
      line.setAttribute('class', kind)
      svg.append(line)
    }
  }
  const last = moments.at(-1) ?? {}
  const legend = lines.flatMap(({ key, name, kind }) => [
    element('span', { class: kind }, `${name} ${show(last[key] ?? undefined)}`),
    '  ',
  ])
  const caption = element('figcaption', {}, `${title}, at most ${show(most)}: `, ...legend)
  return element('figure', {}, caption, svg)
}

/** The runs of moments that have a value, each value with its place. */
function parts(moments, key) {
  const runs = [[]]
  for (const [at, moment] of moments.entries()) {
    const value = moment[key]
    if (value === undefined || value === null) runs.push([])
    else runs.at(-1).push([value, at])
  }
  return runs.filter((run) => run.length > 0)
}

const count = (value) => (value === undefined ? '–' : `${Math.round(value)}`)
const CHARTS = [
  {
    title: 'Executions that end',
    show: rate,
    lines: [
      { key: 'endedPerSecond', name: 'all', kind: 'one' },
      { key: 'failedPerSecond', name: 'failed', kind: 'two' },
    ],
  },
  {
    title: 'Executions that are here',
    show: count,
    lines: [
      { key: 'running', name: 'running', kind: 'one' },
      { key: 'waiting', name: 'waiting', kind: 'two' },
    ],
  },
  {
    title: 'How long they run',
    show: time,
    lines: [
      { key: 'durationP50', name: 'median', kind: 'one' },
      { key: 'durationP99', name: '99 %', kind: 'two' },
    ],
  },
  {
    title: 'From the call to the process, 99 %',
    show: time,
    lines: [
      { key: 'startP99', name: 'start', kind: 'one' },
      { key: 'waitP99', name: 'wait for a slot', kind: 'two' },
    ],
  },
]

function certificate(ends) {
  const left = ends - Date.now()
  return left < 0 ? `ended ${new Date(ends).toISOString()}` : `${Math.floor(left / DAY_MS)} days left`
}

function show(status) {
  const { agent, load, store, facts, certificates, recent } = status
  document.title = `${agent.id}: ${agent.state}`
  byId('name').textContent = agent.id
  byId('state').textContent = agent.cause ? `${agent.state}: ${agent.cause}` : agent.state
  byId('state').className = agent.state === 'serving' ? 'good' : 'bad'
  byId('problems').hidden = status.problems.length === 0
  byId('problems').lastElementChild.replaceChildren(...status.problems.map((said) => element('li', {}, said)))
  const refused = Object.entries(status.refused).map(([why, times]) => `${why.replaceAll('_', ' ')} ${times}`)
  list('load', {
    running: load && (load.slots === 0 ? load.running : `${load.running} of ${load.slots}`),
    waiting: load && `${load.waiting} of ${load.queue_slots}`,
    refused: refused.join(', ') || 'none',
    'up for': since(agent.started_at),
    'memory of the agent': size(agent.memory_bytes),
  })
  byId('charts').replaceChildren(...CHARTS.map((each) => chart(each, recent.moments, recent.every_ms)))
  table(
    'executions',
    ['function', 'state', 'since', 'kind', 'id'],
    status.executions.map((each) => [
      each.function,
      each.state,
      since(each.started_at),
      each.async ? 'async' : 'sync',
      each.id,
    ]),
    'nothing runs or waits',
  )
  if (status.executions_more > 0)
    byId('executions').append(element('caption', {}, `and ${status.executions_more} more`))
  table(
    'failures',
    ['when', 'function', 'how', 'why', 'id'],
    status.failures.map((each) => [
      `${since(each.at)} ago`,
      each.functionName,
      each.kind.replaceAll('_', ' '),
      each.error,
      each.id,
    ]),
    'none since the start',
  )
  table(
    'functions',
    ['function', 'ended', 'succeeded', 'takes'],
    status.functions.map((each) => [each.name, each.ended, each.succeeded, time(each.mean_seconds)]),
    'none has run since the start',
  )
  list('store', {
    address: store?.address,
    answers: store && (store.away_ms > 0 ? `no, for ${time(store.away_ms / 1000)}` : 'yes'),
    'waits in memory': store && size(store.memory_bytes),
    'waits on disk': store && size(store.disk_bytes),
    'may wait': store && size(store.limit_bytes),
  })
  list('limits', facts?.limits ?? {})
  list('isolation', facts?.isolation ?? {})
  list('about', {
    agent: agent.version,
    Node: agent.node,
    'its certificate': certificates ? certificate(certificates.certificate) : 'no TLS',
    'its authority': certificates ? certificate(certificates.authority) : 'no TLS',
  })
}

async function refresh() {
  try {
    const answer = await fetch('/status.json', { signal: AbortSignal.timeout(LIMIT_MS) })
    if (!answer.ok) throw new Error(`status ${answer.status}`)
    show(await answer.json())
    shownAt = Date.now()
    byId('age').textContent = ''
  } catch (error) {
    const age = shownAt === undefined ? 'never' : `${time((Date.now() - shownAt) / 1000)} ago`
    byId('state').textContent = 'does not answer'
    byId('state').className = 'bad'
    byId('age').textContent = `last answer: ${age} (${error.message})`
  }
}

async function run() {
  for (;;) {
    // A page that nobody looks at asks nothing.
    if (!document.hidden) await refresh()
    await new Promise((resolve) => setTimeout(resolve, EVERY_MS))
  }
}

document.addEventListener('visibilitychange', () => document.hidden || refresh())
void run()
