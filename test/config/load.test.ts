import assert from 'node:assert/strict'
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { availableParallelism, hostname, tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { after, test } from 'node:test'
import { ConfigError, loadConfig } from '../../src/config/load.js'
import { KNOWN_KEYS } from '../../src/config/schema.js'

const EXAMPLE = new URL('../../../example.agent.yaml', import.meta.url)
const root = mkdtempSync(join(tmpdir(), 'flux-config-'))
after(() => rmSync(root, { recursive: true }))

let folders = 0
function folder(): string {
  const dir = join(root, String(folders++))
  mkdirSync(dir)
  return dir
}

/** Writes a file and loads it as --config gives it. */
function load(text: string | Buffer, dir = folder()) {
  const file = join(dir, 'agent.yaml')
  writeFileSync(file, text)
  return { file, dir, ...loadConfig({ file, env: {}, cwd: '/' }) }
}

const LOOPBACK = 'agent_id: a\nhost: 127.0.0.1\n'

/** The lines of the error, without the file at their start. */
function errors(text: string | Buffer): string[] {
  const dir = folder()
  try {
    load(text, dir)
  } catch (error) {
    assert.ok(error instanceof ConfigError)
    assert.equal(error.code, 'CONFIG_INVALID')
    const prefix = join(dir, 'agent.yaml')
    return error.message.split('\n').map((line) => {
      assert.ok(line.startsWith(prefix), `names the file: ${line}`)
      return line.slice(prefix.length)
    })
  }
  assert.fail('loaded')
}

function writeTls(dir: string) {
  mkdirSync(join(dir, 'tls'))
  for (const name of ['ca.pem', 'agent.pem', 'agent-key.pem']) writeFileSync(join(dir, 'tls', name), 'x')
}

test('a file with only an agent_id gets every default', { skip: process.platform === 'win32' }, () => {
  const { file, config } = load('agent_id: a')
  assert.deepEqual(config, {
    file,
    fromVariables: [],
    agentId: 'a',
    host: '::',
    allowRoot: false,
    port: 50052,
    store: { kind: 'redis', address: 'redis://localhost:6379' },
    network: {},
    deny: [],
    functions: {
      separate: true,
      uids: { first: 2_100_000_000, last: 2_100_065_535 },
      tmpBytes: 1073741824,
      diskBytes: 0,
      network: 'host',
      codeCache: true,
    },
    maxTasks: 0,
    maxQueued: 1000,
    maxOutputBytes: 33554432,
    backlogBytes: 268435456,
    drainSeconds: 30,
    surviveSeconds: 300,
    runAs: { kind: 'user', name: 'flux-runner' },
    stateDir: '/var/lib/flux-agent',
    archive: { maxEntries: 100000, maxBytes: 4294967296, maxRatio: 200 },
    workers: Math.min(4, availableParallelism()),
    isolation: { required: false, noNewPrivileges: true, maxProcesses: 4096, oomKill: 'execution' },
    logLevel: 'info',
  })
})

test('metrics are served where an address says so, and whoever else can read them is told', () => {
  const read = (listen: string) => load(`${LOOPBACK}metrics: { listen: "${listen}" }`)
  assert.deepEqual(read('127.0.0.1:9464').config.metrics, { host: '127.0.0.1', port: 9464, allowedHosts: [] })
  assert.deepEqual(read('[::1]:0').config.metrics, { host: '::1', port: 0, allowedHosts: [] })
  assert.deepEqual(read('127.0.0.1:9464').warnings, [])
  const named = (names: string) => `${LOOPBACK}metrics: { listen: "127.0.0.1:1", allowed_hosts: ${names} }`
  assert.deepEqual(load(named('[Node-1.Example, .example.com]')).config.metrics?.allowedHosts, [
    'node-1.example',
    '.example.com',
  ])
  assert.deepEqual(errors(named('["http://node-1/"]')), [
    ': metrics.allowed_hosts.0: "http://node-1/" is not allowed; allowed: a name as in node-1.example.com, or .example.com for all names below it',
  ])
  const { file, warnings } = read('0.0.0.0:9464')
  const told =
    'metrics.listen: everybody who reaches 0.0.0.0:9464 can read the names and the errors of functions; ' +
    'give 127.0.0.1:9464, or let a firewall choose who does'
  assert.deepEqual(warnings, [`${file}: ${told}`])
  for (const listen of ['9464', ':9464', '127.0.0.1', 'localhost:9464', '::1:9464', '[127.0.0.1]:1', '127.0.0.1:65536'])
    assert.deepEqual(errors(`${LOOPBACK}metrics: { listen: "${listen}" }`), [
      `: metrics.listen: ${JSON.stringify(listen)} is not allowed; ` +
        'allowed: an IP address with a port, as in 127.0.0.1:9464 and [::1]:9464',
    ])
})

test('UTF-16 with its byte order mark is read, other encodings are told', () => {
  const little = Buffer.from(`\ufeff${LOOPBACK}`, 'utf16le')
  assert.equal(load(little).config.agentId, 'a')
  assert.equal(load(Buffer.from(little).swap16()).config.agentId, 'a')
  assert.equal(load(`\ufeff${LOOPBACK}`).config.agentId, 'a')
  const unmarked = little.subarray(2)
  const wide = Buffer.concat([...`\ufeff${LOOPBACK}`].map((letter) => Buffer.from(`${letter}\0`, 'utf16le')))
  for (const [contents, line] of [
    [unmarked, ': is UTF-16 without a byte order mark: save it as UTF-8'],
    [Buffer.from(unmarked).swap16(), ': is UTF-16 without a byte order mark: save it as UTF-8'],
    [little.subarray(0, 9), ': is UTF-16 that is cut off or damaged: save it as UTF-8'],
    [wide, ': is UTF-32: save it as UTF-8'],
    [Buffer.from(wide.subarray(4)).swap32(), ': is UTF-32: save it as UTF-8'],
    [Buffer.from('agent_id: n\xf6rd\n', 'latin1'), ': is not UTF-8 text: save it as UTF-8'],
  ] as const)
    assert.deepEqual(errors(contents), [line])
})

test('NUL bytes are told, with their line', () => {
  const what = 'a NUL byte, as after a crash or in what is no text: write the file anew'
  for (const [contents, line] of [
    [`${LOOPBACK}run_as: se\0lf\n`, 3],
    [`${LOOPBACK}${'\0'.repeat(5_000)}`, 3],
    ['\0'.repeat(4096), 1],
    ['a\0', 1],
    [Buffer.from(`\ufeff${LOOPBACK}\0`, 'utf16le'), 3],
  ] as const)
    assert.deepEqual(errors(contents), [`:${line}: ${what}`])
})

test('quotes of a word processor are refused, in every value', () => {
  const told = (key: string, quote: string) =>
    `: ${key}: YAML takes ${quote}, as word processors write quotes, for a part of the value; write " instead, or no quotes`
  for (const [text, line] of [
    ['agent_id: “worker-1”', told('agent_id', '“')],
    ['agent_id: worker-1”', told('agent_id', '”')],
    ['agent_id: ‘worker-1’', told('agent_id', '‘')],
    ['agent_id: „worker-1“', told('agent_id', '„')],
    ['agent_id: «worker-1»', told('agent_id', '«')],
    ['agent_id: "“worker-1”"', told('agent_id', '“')],
    [`${LOOPBACK}redis_addr: “redis://:hunter2@host”`, told('redis_addr', '“')],
    [`${LOOPBACK}tls:\n  allowed_clients:\n    - “flux”`, told('tls.allowed_clients', '“')],
    [`${LOOPBACK}apps_dir: “/srv/apps”`, told('apps_dir', '“')],
  ] as const)
    assert.deepEqual(errors(text), [line])
  assert.equal(load('agent_id: Ann’s “big” node\nhost: 127.0.0.1').config.agentId, 'Ann’s “big” node')
})

test('what is not filled in is refused by name', () => {
  for (const [text, line] of [
    [`agent_id: \${HOSTNAME}`, `: agent_id: \${HOSTNAME} is not expanded; write the value itself`],
    [`agent_id: node-\${HOSTNAME:-1}`, `: agent_id: \${HOSTNAME:-1} is not expanded; write the value itself`],
    ['agent_id: $(hostname)', ': agent_id: $(hostname) is not expanded; write the value itself'],
    ['agent_id: $HOSTNAME', ': agent_id: $HOSTNAME is not expanded; write the value itself'],
    ['agent_id: "%COMPUTERNAME%"', ': agent_id: %COMPUTERNAME% is not expanded; write the value itself'],
    [
      `${LOOPBACK}tls: {allowed_clients: ['\${CLIENT}']}`,
      `: tls.allowed_clients: \${CLIENT} is not expanded; write the value itself`,
    ],
    [
      'agent_id: "{{ inventory_hostname }}"',
      ': agent_id: {{ inventory_hostname }} is not expanded; write the value itself',
    ],
    [`${LOOPBACK}apps_dir: ~/apps`, ': apps_dir: ~ is not expanded; write the value itself'],
    ['agent_id: {{ hostname }}', ':1: a template that was not filled in: {{ and the like are not expanded'],
    ['port: 1\nagent_id:a\nhost: ::', ':2: no key and value: write KEY: VALUE, with a space behind the colon'],
    ['agent_id=a\nport: 1', ':1: no key and value: write KEY: VALUE, with a space behind the colon'],
    ['base: &base {agent_id: a}\n<<: *base', ': <<: keys are not merged; write them out here'],
    [
      'base: &base {node_private_ip: 1.2.3.4}\nagent_id: a\nnetwork:\n  <<: *base',
      ': network.<<: keys are not merged; write them out here',
    ],
  ] as const)
    assert.deepEqual(errors(text), [line], text)
  assert.equal(load('agent_id: a$b 100% {x}\nhost: 127.0.0.1').config.agentId, 'a$b 100% {x}')
})

test('what Flux writes when it bootstraps a node loads as it is', () => {
  const dir = folder()
  writeTls(dir)
  const { config, warnings } = load(
    `agent_id: "7f3e"
port: "50052"
redis_addr: localhost:6379
network:
  node_private_ip: 10.0.0.5
  node_public_ip: ""
tls:
  enabled: true
  ca_cert: ${dir}/tls/ca.pem
  cert_file: tls/agent.pem
  key_file: ./tls/agent-key.pem
`,
    dir,
  )
  assert.deepEqual(warnings, [])
  assert.equal(config.port, 50052)
  assert.deepEqual(config.store, { kind: 'redis', address: 'localhost:6379' })
  assert.deepEqual(config.network, { privateIp: '10.0.0.5' })
  assert.deepEqual(config.tls, {
    caCert: join(dir, 'tls/ca.pem'),
    certFile: join(dir, 'tls/agent.pem'),
    keyFile: join(dir, 'tls/agent-key.pem'),
    allowedClients: ['flux'],
  })
})

test('the file is --config, else AGENT_CONFIG, else ./agent.yaml', () => {
  const dir = folder()
  for (const name of ['option', 'variable', 'agent']) {
    writeFileSync(join(dir, `${name}.yaml`), `agent_id: ${name}\nhost: 127.0.0.1`)
  }
  const env = { AGENT_CONFIG: join(dir, 'variable.yaml') }
  assert.equal(loadConfig({ file: 'option.yaml', env, cwd: dir }).config.agentId, 'option')
  assert.equal(loadConfig({ env, cwd: dir }).config.agentId, 'variable')
  assert.equal(loadConfig({ env: { AGENT_CONFIG: '' }, cwd: dir }).config.agentId, 'agent')
})

test('without any file there are development defaults on loopback, and a warning that says so', () => {
  const dir = folder()
  const { config, warnings } = loadConfig({ env: {}, cwd: dir })
  assert.equal(config.file, undefined)
  assert.equal(config.agentId, `dev-${hostname()}`)
  assert.equal(config.host, '127.0.0.1')
  assert.equal(config.port, 50052)
  assert.deepEqual(config.store, { kind: 'embedded', path: join(dir, '.flux-agent', 'store') })
  assert.deepEqual(config.runAs, { kind: 'self' })
  assert.equal(config.stateDir, join(dir, '.flux-agent'))
  assert.equal(warnings.length, 1)
  assert.match(warnings[0] ?? '', /development defaults.*--config FILE, AGENT_CONFIG=FILE or \.\/agent\.yaml/)
})

test('a named file that is missing or unreadable is an error, not the defaults', () => {
  const dir = folder()
  const missing = join(dir, 'none.yaml')
  const refusal = { code: 'CONFIG_INVALID', message: `${missing}: cannot be read: there is no such file` }
  assert.throws(() => loadConfig({ file: missing, env: {}, cwd: dir }), refusal)
  assert.throws(() => loadConfig({ env: { AGENT_CONFIG: missing }, cwd: dir }), refusal)
  mkdirSync(join(dir, 'agent.yaml'))
  assert.throws(() => loadConfig({ env: {}, cwd: dir }), /agent\.yaml: cannot be read: EISDIR/)
})

const WRONG: readonly [text: string, line: string][] = [
  ['', ': agent_id is missing; allowed: 1 to 128 printable characters'],
  ['agent_id:', ': agent_id is missing; allowed: 1 to 128 printable characters'],
  ['agent_id: " "', ': agent_id: " " is not allowed; allowed: 1 to 128 printable characters'],
  ['agent_id: "a\\tb"', ': agent_id: "a\\tb" is not allowed; allowed: 1 to 128 printable characters'],
  ['agent_id: [a]', ': agent_id: a list is not allowed; allowed: 1 to 128 printable characters'],
  ['host: localhost', ': host: "localhost" is not allowed; allowed: an IP address'],
  ['port: abc', ': port: "abc" is not allowed; allowed: a whole number from 0 to 65535'],
  ['port: 65536', ': port: "65536" is not allowed; allowed: a whole number from 0 to 65535'],
  ['port: -1', ': port: "-1" is not allowed; allowed: a whole number from 0 to 65535'],
  ['port: 80.5', ': port: "80.5" is not allowed; allowed: a whole number from 0 to 65535'],
  ['network: x', ': network: "x" is not allowed; allowed: a section of keys'],
  [
    'network: {deny: [10.0.0.0/33]}',
    ': network.deny.0: "10.0.0.0/33" is not allowed; allowed: an IP address, a net as in 10.0.0.0/8, a port, or both as in 10.0.0.1:25 and [fd00::/8]:25',
  ],
  ['network: {deny: 25}', ': network.deny: "25" is not allowed; allowed: a list of targets'],
  ['network: {node_public_ip: x.y}', ': network.node_public_ip: "x.y" is not allowed; allowed: an IP address'],
  ['tls: {enabled: yes}', ': tls.enabled: "yes" is not allowed; allowed: true or false'],
  ['max_tasks: 1e3', ': max_tasks: "1e3" is not allowed; allowed: a whole number from 0 to 1000000'],
  ['survive_seconds: 86401', ': survive_seconds: "86401" is not allowed; allowed: a whole number from 0 to 86400'],
  ['drain_seconds: 30s', ': drain_seconds: "30s" is not allowed; allowed: a whole number from 0 to 3600'],
  ['run_as: a b', ': run_as: "a b" is not allowed; allowed: the name of a user, or self'],
  ['workers: 0', ': workers: "0" is not allowed; allowed: a whole number from 1 to 64'],
  ['workers: 65', ': workers: "65" is not allowed; allowed: a whole number from 1 to 64'],
  ['log_level: loud', ': log_level: "loud" is not allowed; allowed: one of debug, info, warn, error'],
  ['isolation: strict', ': isolation: "strict" is not allowed; allowed: one of best_effort, required'],
  ['isolation: true', ': isolation: "true" is not allowed; allowed: one of best_effort, required'],
  ['no_new_privileges: "yes"', ': no_new_privileges: "yes" is not allowed; allowed: true or false'],
  ['oom_kill: group', ': oom_kill: "group" is not allowed; allowed: one of execution, process'],
  ['max_processes: -1', ': max_processes: "-1" is not allowed; allowed: a whole number from 0 to 4194304'],
  ['max_processes: 4194305', ': max_processes: "4194305" is not allowed; allowed: a whole number from 0 to 4194304'],
  [
    'max_processes: unlimited',
    ': max_processes: "unlimited" is not allowed; allowed: a whole number from 0 to 4194304',
  ],
  ['archive: {max_ratio: 0}', ': archive.max_ratio: "0" is not allowed; allowed: a whole number from 1 to 1000000'],
  [
    'max_output_bytes: 131071',
    ': max_output_bytes: "131071" is not allowed; allowed: a size from 128KiB to 40MiB, in bytes or with a unit as in 32MiB',
  ],
  [
    'max_output_bytes: 41MiB',
    ': max_output_bytes: "41MiB" is not allowed; allowed: a size from 128KiB to 40MiB, in bytes or with a unit as in 32MiB',
  ],
  [
    'max_output_bytes: 1MB',
    ': max_output_bytes: "1MB" is not allowed; allowed: a size from 128KiB to 40MiB, in bytes or with a unit as in 32MiB',
  ],
]
for (const [text, line] of WRONG) {
  test(`refused with one line: ${JSON.stringify(text)}`, () => {
    assert.deepEqual(errors(/^(agent_id|$)/.test(text) ? text : `${LOOPBACK.replace(/host.*/, '')}${text}`), [line])
  })
}

test('several wrong values have a line each', () => {
  assert.deepEqual(errors(`agent_id: a\nport: x\nworkers: y`), [
    ': port: "x" is not allowed; allowed: a whole number from 0 to 65535',
    ': workers: "y" is not allowed; allowed: a whole number from 1 to 64',
  ])
})

test('what is not YAML, has a key twice, too many aliases or two documents is refused with its line', () => {
  assert.deepEqual(errors('agent_id: a\nport: [1\n'), [':3: deficient indentation'])
  assert.deepEqual(errors('agent_id: a\nport: 1\nagent_id: b\n'), [':3: duplicated mapping key'])
  const aliases = `agent_id: &a x\nmax: [${Array(101).fill('*a').join(', ')}]`
  assert.deepEqual(errors(aliases), [':2: aliases exceeded maxAliases (100)'])
  assert.deepEqual(errors('agent_id: a\n---\nagent_id: b\n'), [': holds 2 YAML documents; allowed: one'])
  assert.deepEqual(errors('- a\n'), [': the file a list is not allowed; allowed: a section of keys'])
})

test('an id of digits keeps its text', () => {
  assert.equal(load(`${LOOPBACK.replace('agent_id: a', 'agent_id: 0123e4')}`).config.agentId, '0123e4')
})

const STORES: readonly [written: string, store: { kind: string; address?: string; path?: string }][] = [
  ['redis://db.example:6380/2', { kind: 'redis', address: 'redis://db.example:6380/2' }],
  ['rediss://u:p@db.example', { kind: 'redis', address: 'rediss://u:p@db.example' }],
  ['db.example:6380/2', { kind: 'redis', address: 'db.example:6380/2' }],
  ['db.example', { kind: 'redis', address: 'db.example' }],
  ['"[::1]:6379"', { kind: 'redis', address: '[::1]:6379' }],
  ['/run/redis.sock', { kind: 'redis', address: '/run/redis.sock' }],
  ['unix:///run/redis.sock', { kind: 'redis', address: 'unix:///run/redis.sock' }],
  ['embedded', { kind: 'embedded', path: '/state/store' }],
  ['embedded:/data/kept', { kind: 'embedded', path: '/data/kept' }],
  ['embedded:kept', { kind: 'embedded', path: 'kept' }],
]
for (const [written, store] of STORES) {
  test(`redis_addr: ${written}`, () => {
    const { config, dir } = load(`${LOOPBACK}state_dir: /state\nredis_addr: ${written}\n`)
    assert.deepEqual(config.store, store.path ? { ...store, path: resolve(dir, store.path) } : store)
  })
}

for (const written of [
  'http://x',
  'redis://:100%ffsure@host',
  'redis://host:x',
  'redis://host/name',
  'redis://',
  '//host',
]) {
  test(`redis_addr: ${written} is refused`, () => {
    assert.match(errors(`${LOOPBACK}redis_addr: ${written}`)[0] ?? '', /^: redis_addr: \S.*; allowed: redis:/)
  })
}

for (const written of ['embeded', 'embeddded', 'Embedded', 'imbedded:./x', 'embed', 'embedded:']) {
  test(`redis_addr: ${written} is no host`, () => {
    const [line = ''] = errors(`${LOOPBACK}redis_addr: "${written}"`)
    assert.match(
      line,
      /^: redis_addr: did you mean "embedded", or "embedded:FOLDER"\? a host of that name is redis:\/\//,
    )
  })
}
test('redis_addr: a host that is called nearly embedded can be given', () => {
  for (const written of ['redis://embeded', 'embedded-db', 'em.bedded', 'embeded:pw@host']) {
    assert.equal(load(`${LOOPBACK}redis_addr: ${written}`).config.store.kind, 'redis')
  }
})

test('redis_tls is the older name of redis', () => {
  const dir = folder()
  const text = `${LOOPBACK}redis_addr: rediss://host\nredis_tls: {server_name: other}\n`
  const { config, warnings } = load(text, dir)
  assert.deepEqual(warnings, [])
  assert.deepEqual(config.store, { kind: 'redis', address: 'rediss://host', access: { serverName: 'other' } })
  assert.deepEqual(errors(`${text}redis: {password_file: pw}\n`), [': redis_tls: give its keys in the section redis'])
  assert.match(errors(`${LOOPBACK}redis_tls: x`)[0] ?? '', /^: redis: "x" is not allowed/)
})

test('neither a password nor a key is ever shown', () => {
  const secrets = [
    'redis_addr: "redis://user:hun/ter2@host:x"',
    'redis_addr: "redis://:hunter2"',
    'redis_addr: user:hunter2@host:x',
    'redis_addr: "redis://:hunter2?x"',
    'redis_addr: "redis://host:x?password=hunter2"',
    'redis_addr: {password: hunter2}',
    'redis_addr: "redis://:hunter2@host\n',
    'tls: {ca_cert: a, cert_file: b, key_file: "-----BEGIN PRIVATE KEY-----hunter2"}',
    'tls: {ca_cert: a, cert_file: b, key_file: "-----BEGIN PRIVATE KEY-----\\nhunter2"}',
    'tls:\n  ca_cert: |\n    -----BEGIN CERTIFICATE-----\n    hunter2',
  ]
  for (const text of secrets) {
    const shown = errors(`${LOOPBACK}${text}`).join('\n')
    assert.doesNotMatch(shown, /hun|ter2/, text)
  }
})

test('sizes are bytes or carry a unit', () => {
  const { config } = load(
    `${LOOPBACK}max_output_bytes: 262144\nstore_backlog_bytes: 2GiB\narchive: {max_bytes: "8 MiB"}`,
  )
  assert.equal(config.maxOutputBytes, 262_144)
  assert.equal(config.backlogBytes, 2 ** 31)
  assert.equal(config.archive.maxBytes, 2 ** 23)
})

test('isolation is as strict as it is written', () => {
  const text = 'isolation: required\nno_new_privileges: false\nmax_processes: 0\noom_kill: process'
  const strict = { required: true, noNewPrivileges: false, maxProcesses: 0, oomKill: 'process' }
  assert.deepEqual(load(`${LOOPBACK}${text}`).config.isolation, strict)
  const defaults = { required: false, noNewPrivileges: true, maxProcesses: 4096, oomKill: 'execution' }
  assert.deepEqual(load(`${LOOPBACK}isolation: best_effort`).config.isolation, defaults)
  assert.equal(load(`${LOOPBACK}max_processes: 4194304`).config.isolation.maxProcesses, 4_194_304)
})

test('relative folders are resolved against the file', () => {
  const { config, dir } = load(`${LOOPBACK}state_dir: state\napps_dir: ../apps\nredis_addr: embedded\nrun_as: self`)
  assert.equal(config.stateDir, join(dir, 'state'))
  assert.equal(config.appsDir, join(root, 'apps'))
  assert.deepEqual(config.store, { kind: 'embedded', path: join(dir, 'state', 'store') })
  assert.deepEqual(config.runAs, { kind: 'self' })
})

test('a tls section means TLS unless it is disabled, and then needs its files', () => {
  const missing = errors(`${LOOPBACK}tls: {ca_cert: ca.pem}`)
  assert.deepEqual(missing, [
    ': tls.cert_file is missing; allowed: the path of a PEM file, or tls.enabled: false',
    ': tls.key_file is missing; allowed: the path of a PEM file, or tls.enabled: false',
  ])
  assert.equal(load(`${LOOPBACK}tls: {enabled: false, ca_cert: ca.pem}`).config.tls, undefined)
})

test('a TLS file that cannot be read is named', () => {
  const dir = folder()
  writeTls(dir)
  rmSync(join(dir, 'tls', 'agent-key.pem'))
  const text = 'agent_id: a\ntls: {ca_cert: tls/ca.pem, cert_file: tls/agent.pem, key_file: tls/agent-key.pem}'
  const expected =
    `${join(dir, 'agent.yaml')}: tls.key_file: "${join(dir, 'tls', 'agent-key.pem')}" is not allowed; ` +
    'allowed: a PEM file that the agent can read (ENOENT)'
  assert.throws(() => load(text, dir), { message: expected })
})

test('allowed clients are a list of at least one name', () => {
  const dir = folder()
  writeTls(dir)
  const files = 'ca_cert: tls/ca.pem, cert_file: tls/agent.pem, key_file: tls/agent-key.pem'
  const { config } = load(`agent_id: a\ntls: {${files}, allowed_clients: [flux, ops.example]}`, dir)
  assert.deepEqual(config.tls?.allowedClients, ['flux', 'ops.example'])
  assert.deepEqual(errors(`agent_id: a\ntls: {${files}, allowed_clients: []}`), [
    ': tls.allowed_clients: a list is not allowed; allowed: a list of at least one name',
  ])
  assert.deepEqual(errors(`agent_id: a\ntls: {${files}, allowed_clients: [""]}`), [
    ': tls.allowed_clients.0: "" is not allowed; allowed: a name as in the CN or a DNS SAN of a client certificate',
  ])
})

test('an unknown key at any level is a warning that names the nearest known one', () => {
  const { file, warnings } = load(
    `${LOOPBACK}redis_adr: x\nkey_fil: x\narchive: {max_entry: 5}\nnetwork: {private_ip: 10.0.0.1}`,
  )
  assert.deepEqual(warnings, [
    `${file}: unknown key "redis_adr" is ignored; did you mean "redis_addr"?`,
    `${file}: unknown key "key_fil" is ignored; did you mean "tls.key_file"?`,
    `${file}: unknown key "network.private_ip" is ignored; did you mean "network.node_private_ip"?`,
    `${file}: unknown key "archive.max_entry" is ignored; did you mean "archive.max_entries"?`,
  ])
})

test('a key is only taken for another one where it is like it, and told beside what is missing', () => {
  const { file, warnings } = load(`${LOOPBACK}x: 1\nversion: 1\nredisAddr: x`)
  assert.deepEqual(warnings, [
    `${file}: unknown key "x" is ignored`,
    `${file}: unknown key "version" is ignored`,
    `${file}: unknown key "redisAddr" is ignored; did you mean "redis_addr"?`,
  ])
  assert.deepEqual(errors('\u200bagent-id: a'), [
    ': agent_id is missing; allowed: 1 to 128 printable characters',
    ': unknown key "\u200bagent-id" is ignored; did you mean "agent_id"?',
  ])
})

test('no TLS on more than loopback is a warning', () => {
  for (const host of ['0.0.0.0', '::', '10.0.0.1']) {
    assert.match(
      load(`agent_id: a\nhost: "${host}"`).warnings.join(),
      /NO TLS: everybody who reaches .* can run programs/,
    )
  }
  for (const host of ['127.0.0.1', '127.9.9.9', '::1']) {
    assert.deepEqual(load(`agent_id: a\nhost: "${host}"`).warnings, [])
  }
})

test('the example loads without warnings', () => {
  const dir = folder()
  writeTls(dir)
  copyFileSync(EXAMPLE, join(dir, 'agent.yaml'))
  const { config, warnings } = loadConfig({ env: {}, cwd: dir })
  assert.deepEqual(warnings, [])
  assert.equal(config.tls?.keyFile, join(dir, 'tls', 'agent-key.pem'))
})

test('the example shows every key, each with its default', { skip: process.platform === 'win32' }, () => {
  const dir = folder()
  writeTls(dir)
  const text = readFileSync(EXAMPLE, 'utf8')
  for (const [section, keys] of Object.entries(KNOWN_KEYS)) {
    for (const key of keys) {
      const line = section === '' ? `^#?${key}:` : `^(?:#  |  #?)${key}:`
      assert.match(text, new RegExp(line, 'm'), `${section} ${key}`)
    }
  }
  const plain = load(text, dir).config
  const uncommented = text.replace(/^( *)#(?=\S| {2}\w+:)/gm, '$1')
  // They are for another address than the default.
  const spelledOut = load(
    uncommented.replace(/^redis:\n(?:[# ].*\n)+/m, '').replace(/(?<=^ {2}endpoint: .*\n)(?:[# ].*\n)+/m, ''),
    dir,
  )
  assert.deepEqual(spelledOut.warnings, [])
  assert.deepEqual(spelledOut.config, {
    ...plain,
    network: { privateIp: '10.0.0.5', publicIp: '203.0.113.5' },
    deny: [
      { net: { family: 4, address: '169.254.169.254', bits: 32 } },
      { net: { family: 4, address: '10.0.0.0', bits: 8 } },
      { port: 25 },
    ],
    appsDir: '/home/flux-runner/apps',
    metrics: { host: '127.0.0.1', port: 9464, allowedHosts: ['node-1.example.com'] },
    traces: { endpoint: 'http://localhost:4318/v1/traces' },
    workers: 4,
  })
})
