import assert from 'node:assert/strict'
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { load } from 'js-yaml'
import { makeTempDir } from '../../harness/agent.js'
import { makeCertificates, writeAgentFiles } from '../../harness/certificates.js'
import { eventually } from '../../harness/eventually.js'
import { freePort } from '../../harness/free-port.js'
import { onExit } from '../../harness/on-exit.js'
import { describeAgent } from '../support/describe-agent.js'
import { mutualTls } from '../support/flux-client.js'
import { METRICS_ON, metricsUrl, scrape } from '../support/metrics.js'

const FOLDER = fileURLToPath(new URL('../../../packaging/observability/', import.meta.url))
const ALERTS = join(FOLDER, 'alerts.yaml')
const skip = ['prometheus', 'promtool'].every((tool) => spawnSync(tool, ['--version']).status === 0)
  ? undefined
  : 'prometheus is not installed'
/** Known only where the kernel's cgroups count them. */
const BY_CGROUPS = /flux_agent_executions_(cpu_seconds_total|memory_bytes)/

interface Dashboard {
  readonly panels: readonly { readonly title: string; readonly targets?: readonly { readonly expr: string }[] }[]
}

interface Rules {
  readonly groups: readonly { readonly rules: readonly { readonly alert: string; readonly expr: string }[] }[]
}

interface Answer {
  readonly status: string
  readonly error?: string
  readonly data: { readonly result: readonly { readonly metric: Readonly<Record<string, string>> }[] }
}

/** What promtool says; its exit code must be 0. */
function promtool(args: readonly string[], input = ''): string {
  const { status, stdout, stderr } = spawnSync('promtool', args, { input, encoding: 'utf8' })
  assert.equal(status, 0, stdout + stderr)
  return stdout + stderr
}

const { authority, agent: identity, flux } = await makeCertificates()
const { caCert, certFile, keyFile } = writeAgentFiles(makeTempDir('flux-prometheus-'), authority, identity)
const tls = { ca_cert: caCert, cert_file: certFile, key_file: keyFile }
const options = { config: { ...METRICS_ON, tls, drain_seconds: 0 }, credentials: mutualTls(authority.cert, flux), skip }

describeAgent('an agent that Prometheus scrapes', options, ({ agent, calls }) => {
  let prometheus: ChildProcess
  let address: string

  before(async () => {
    await calls.script('works', 'printf x; sleep 0.0$1; exit $2')
    await calls.script('sleeps', 'exec sleep 300')
    await calls.script('renamed', 'true')
    await calls.register({ name: 'renamed', handler: 'gone' })
    await work()
    const dir = makeTempDir('flux-prometheus-')
    const file = join(dir, 'prometheus.yml')
    const target = new URL(metricsUrl(agent)).host
    // JSON is YAML.
    const config = {
      global: { scrape_interval: '500ms', evaluation_interval: '1s' },
      rule_files: [ALERTS],
      scrape_configs: [{ job_name: 'flux-agent', static_configs: [{ targets: [target] }] }],
    }
    writeFileSync(file, JSON.stringify(config))
    address = `127.0.0.1:${await freePort()}`
    const flags = [
      `--config.file=${file}`,
      `--storage.tsdb.path=${join(dir, 'data')}`,
      `--web.listen-address=${address}`,
    ]
    prometheus = spawn('prometheus', flags, { stdio: 'ignore' })
    onExit(() => prometheus.kill('SIGKILL'))
    await eventually('it has scraped twice', async () => {
      const { data } = await query('count_over_time(up[1m]) >= 2 and up == 1').catch(() => ({ data: { result: [] } }))
      return data.result.length > 0
    })
    await work()
    await eventually('it has scraped the rest', async () => {
      const { data } = await query('sum(flux_agent_executions_total) >= 24')
      return data.result.length > 0
    })
  })
  after(async () => {
    if (!prometheus) return
    const ended = once(prometheus, 'exit')
    prometheus.kill('SIGKILL')
    await ended
  })

  /** Something of everything that is counted. */
  async function work(): Promise<void> {
    const run = (at: number) => calls.execute({ function_name: 'works', args: [String(at), String(at % 2)] })
    await Promise.all(Array.from({ length: 10 }, (_, at) => run(at)))
    await calls.execute({ function_name: 'renamed' })
    await calls.cancel(await calls.start('sleeps'))
    await calls.start('sleeps')
  }

  async function query(expression: string): Promise<Answer> {
    const answer = await fetch(`http://${address}/api/v1/query?query=${encodeURIComponent(expression)}`)
    return (await answer.json()) as Answer
  }

  it('has names, help and types as Prometheus wants them', async () => {
    const text = await (await fetch(`${metricsUrl(agent)}metrics`)).text()
    assert.equal(promtool(['check', 'metrics'], text), '')
  })

  it('has rules that Prometheus takes, and that alert when they should', () => {
    promtool(['check', 'rules', ALERTS])
    promtool(['test', 'rules', join(FOLDER, 'alerts.test.yaml')])
  })

  it('answers what every panel of the dashboard asks', async () => {
    const { panels } = JSON.parse(readFileSync(join(FOLDER, 'dashboard.json'), 'utf8')) as Dashboard
    const asked = panels.flatMap(({ title, targets = [] }) => targets.map(({ expr }) => ({ title, expr })))
    assert.ok(asked.length > 30)
    const known = [...(await scrape(agent)).keys()]
    for (const { title, expr } of asked) {
      const filled = expr.replaceAll(/\$(job|instance)/g, '.*').replaceAll('$__rate_interval', '1m')
      const { status, error, data } = await query(filled)
      assert.equal(status, 'success', `${title}: ${filled}: ${error}`)
      const [byCgroups] = BY_CGROUPS.exec(expr) ?? []
      if (byCgroups && !known.includes(byCgroups)) continue
      assert.ok(data.result.length > 0, `${title}: nothing for ${filled}`)
    }
  })

  it('answers what every alert asks, and names only metrics that there are', async () => {
    const { groups } = load(readFileSync(ALERTS, 'utf8')) as Rules
    const text = await (await fetch(`${metricsUrl(agent)}metrics`)).text()
    for (const { alert, expr } of groups.flatMap(({ rules }) => rules)) {
      const { status, error } = await query(expr)
      assert.equal(status, 'success', `${alert}: ${error}`)
      for (const [name] of expr.matchAll(/flux_agent_\w+?(?=(_bucket)?\b)/g))
        assert.ok(text.includes(`# TYPE ${name.replace(/_bucket$/, '')} `), `${alert}: ${name}`)
    }
  })

  it('raises an alert for its certificate, which ends within a day, and no other', async () => {
    const names = 'count by (alertname, certificate) (ALERTS{alertstate="firing"})'
    const firing = await eventually('it alerts', async () => {
      const { data } = await query(names)
      return data.result.length > 0 ? data.result : undefined
    })
    assert.deepEqual(
      firing.map(({ metric }) => metric),
      [{ alertname: 'FluxAgentCertificateEnds', certificate: 'agent' }],
    )
  })
})
