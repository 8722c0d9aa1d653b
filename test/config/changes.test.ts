import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { takeOver } from '../../src/config/changes.js'
import type { AgentConfig } from '../../src/config/config.js'
import { KNOWN_KEYS } from '../../src/config/schema.js'

const MiB = 2 ** 20
const tls = { caCert: '/ca.pem', certFile: '/agent.pem', keyFile: '/key.pem', allowedClients: ['flux'] }
const traces = { endpoint: 'https://collector:4318/v1/traces' }
const inUse: AgentConfig = {
  file: '/agent.yaml',
  fromVariables: [],
  agentId: 'a',
  host: '127.0.0.1',
  port: 1,
  store: { kind: 'redis', address: 'redis://:secret@host' },
  deny: [{ port: 25 }],
  functions: {
    separate: true,
    uids: { first: 1_000_000, last: 1_000_999 },
    tmpBytes: 2 ** 30,
    diskBytes: 2 ** 30,
    network: 'host',
    codeCache: true,
  },
  network: { privateIp: '10.0.0.1', publicIp: '10.0.0.2' },
  tls,
  allowRoot: false,
  maxTasks: 1,
  maxQueued: 1,
  maxOutputBytes: MiB,
  backlogBytes: MiB,
  drainSeconds: 1,
  surviveSeconds: 1,
  runAs: { kind: 'self' },
  appsDir: '/apps',
  stateDir: '/state',
  archive: { maxEntries: 1, maxBytes: MiB, maxRatio: 1 },
  metrics: { host: '127.0.0.1', port: 9464, allowedHosts: [] },
  traces,
  workers: 1,
  isolation: { required: false, noNewPrivileges: true, maxProcesses: 1, oomKill: 'execution' },
  logLevel: 'info',
}

/** Another configuration by each key of the file, and whether a running agent takes it over. */
const OTHERS: Readonly<Record<string, readonly ['at once' | 'restart', Partial<AgentConfig>]>> = {
  agent_id: ['restart', { agentId: 'b' }],
  host: ['restart', { host: '::1' }],
  port: ['restart', { port: 2 }],
  redis_addr: ['restart', { store: { kind: 'redis', address: 'redis://:other@host' } }],
  'redis.ca_cert': ['restart', { store: { ...inUse.store, access: { caCert: '/other.pem' } } as AgentConfig['store'] }],
  'redis.cert_file': ['restart', { store: { ...inUse.store, access: { certFile: '/o.pem' } } as AgentConfig['store'] }],
  'redis.key_file': ['restart', { store: { ...inUse.store, access: { keyFile: '/o.pem' } } as AgentConfig['store'] }],
  'redis.password_file': [
    'restart',
    { store: { ...inUse.store, access: { passwordFile: '/o' } } as AgentConfig['store'] },
  ],
  'redis.sentinel_password_file': [
    'restart',
    { store: { ...inUse.store, access: { sentinelPasswordFile: '/o' } } as AgentConfig['store'] },
  ],
  'redis.server_name': ['restart', { store: { ...inUse.store, access: { serverName: 'o' } } as AgentConfig['store'] }],
  'redis.sentinel_user': [
    'restart',
    { store: { ...inUse.store, access: { sentinelUser: 'o' } } as AgentConfig['store'] },
  ],
  'network.node_private_ip': ['restart', { network: { publicIp: '10.0.0.2' } }],
  'network.node_public_ip': ['restart', { network: { privateIp: '10.0.0.1', publicIp: '10.0.0.3' } }],
  'network.deny': ['at once', { deny: [{ port: 26 }] }],
  'network.functions': ['restart', { functions: { ...inUse.functions, network: 'none' } }],
  'functions.isolation': ['restart', { functions: { ...inUse.functions, separate: false } }],
  'functions.uids': ['restart', { functions: { ...inUse.functions, uids: { first: 1, last: 2 } } }],
  'functions.tmp_bytes': ['restart', { functions: { ...inUse.functions, tmpBytes: MiB } }],
  'functions.disk_bytes': ['restart', { functions: { ...inUse.functions, diskBytes: MiB } }],
  'functions.code_cache': ['restart', { functions: { ...inUse.functions, codeCache: false } }],
  'tls.ca_cert': ['at once', { tls: { ...tls, caCert: '/other.pem' } }],
  'tls.cert_file': ['at once', { tls: { ...tls, certFile: '/other.pem' } }],
  'tls.key_file': ['at once', { tls: { ...tls, keyFile: '/other.pem' } }],
  'tls.allowed_clients': ['at once', { tls: { ...tls, allowedClients: ['flux', 'operator'] } }],
  max_tasks: ['at once', { maxTasks: 2 }],
  max_queued: ['at once', { maxQueued: 2 }],
  max_output_bytes: ['at once', { maxOutputBytes: 2 * MiB }],
  store_backlog_bytes: ['at once', { backlogBytes: 2 * MiB }],
  survive_seconds: ['restart', { surviveSeconds: 2 }],
  drain_seconds: ['at once', { drainSeconds: 2 }],
  'traces.endpoint': ['restart', { traces: { ...traces, endpoint: 'https://other:4318/v1/traces' } }],
  'traces.headers_file': ['restart', { traces: { ...traces, headersFile: '/other' } }],
  'traces.ca_cert': ['restart', { traces: { ...traces, caCert: '/other' } }],
  'traces.cert_file': ['restart', { traces: { ...traces, certFile: '/other' } }],
  'traces.key_file': ['restart', { traces: { ...traces, keyFile: '/other' } }],
  run_as: ['restart', { runAs: { kind: 'user', name: 'other' } }],
  allow_root: ['restart', { allowRoot: true }],
  apps_dir: ['restart', { appsDir: '/other' }],
  state_dir: ['restart', { stateDir: '/other' }],
  'metrics.listen': ['restart', { metrics: { host: '127.0.0.1', port: 9465, allowedHosts: [] } }],
  'metrics.allowed_hosts': ['restart', { metrics: { host: '127.0.0.1', port: 9464, allowedHosts: ['node-1'] } }],
  'archive.max_entries': ['at once', { archive: { ...inUse.archive, maxEntries: 2 } }],
  'archive.max_bytes': ['at once', { archive: { ...inUse.archive, maxBytes: 2 * MiB } }],
  'archive.max_ratio': ['at once', { archive: { ...inUse.archive, maxRatio: 2 } }],
  workers: ['restart', { workers: 2 }],
  isolation: ['restart', { isolation: { ...inUse.isolation, required: true } }],
  no_new_privileges: ['restart', { isolation: { ...inUse.isolation, noNewPrivileges: false } }],
  max_processes: ['restart', { isolation: { ...inUse.isolation, maxProcesses: 2 } }],
  oom_kill: ['restart', { isolation: { ...inUse.isolation, oomKill: 'process' } }],
  log_level: ['at once', { logLevel: 'debug' }],
}

describe('another configuration', () => {
  for (const [section, keys] of Object.entries(KNOWN_KEYS)) {
    for (const key of keys) {
      const name = section === '' ? key : `${section}.${key}`
      // A section, or what makes one come and go.
      if (name in KNOWN_KEYS || name === 'tls.enabled') continue
      it(`in ${name} alone is one change`, () => {
        const [when, other] = OTHERS[name] ?? assert.fail('this test has no other value for it')
        const asked = { ...inUse, ...other }
        const { config, changed, pending } = takeOver(inUse, asked)
        if (when === 'at once') {
          assert.deepEqual([changed.map((change) => change.key), pending], [[name], []])
          assert.deepEqual(config, asked)
        } else {
          assert.deepEqual([changed, pending], [[], [name]])
          assert.deepEqual(config, inUse)
        }
      })
    }
  }

  it('with TLS or without takes a restart, and is one change', () => {
    const { tls: _tls, ...plain } = inUse
    assert.deepEqual(takeOver(inUse, plain), { config: inUse, changed: [], pending: ['tls.enabled'] })
    assert.deepEqual(takeOver(plain, inUse), { config: plain, changed: [], pending: ['tls.enabled'] })
  })

  it('tells what a key was and is', () => {
    const { changed } = takeOver(inUse, { ...inUse, maxTasks: 8, logLevel: 'debug' })
    assert.deepEqual(changed, [
      { key: 'max_tasks', from: 1, to: 8 },
      { key: 'log_level', from: 'info', to: 'debug' },
    ])
  })

  it('that is the same is none', () => {
    assert.deepEqual(takeOver(inUse, structuredClone(inUse)), { config: inUse, changed: [], pending: [] })
  })
})
