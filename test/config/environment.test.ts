import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { makeTempDir } from '../../harness/agent.js'
import { variableName } from '../../src/config/environment.js'
import { KEYS } from '../../src/config/keys.js'
import { ConfigError, loadAgain, loadConfig } from '../../src/config/load.js'

const LOOPBACK = { FLUX_AGENT_AGENT_ID: 'a', FLUX_AGENT_HOST: '127.0.0.1' }

/** Loads what these variables give, beside a file with this text, where there is one. */
function load(env: Readonly<Record<string, string>>, text?: string) {
  const cwd = makeTempDir('flux-variables-')
  const file = join(cwd, 'sub.yaml')
  if (text !== undefined) writeFileSync(file, text)
  return { cwd, file, ...loadConfig({ cwd, env: { ...env, ...(text !== undefined && { AGENT_CONFIG: file }) } }) }
}

/** The lines of the error, with FILE for the file. */
function errors(env: Readonly<Record<string, string>>, text?: string): string[] {
  try {
    load(env, text)
  } catch (error) {
    assert.ok(error instanceof ConfigError)
    return error.message.replaceAll(/\/\S*\/sub\.yaml/g, 'FILE').split('\n')
  }
  assert.fail('loaded')
}

/** A second key's value shows whether what follows it was read as well. */
const text = (more: string) => `agent_id: of-the-file\nhost: 127.0.0.1\n${more}`

test('every key has a variable of its own, which none of a service link can be', () => {
  const names = Object.keys(KEYS).map(variableName)
  assert.deepEqual(
    names.filter((name, at) => names.indexOf(name) !== at),
    [],
  )
  for (const name of names) assert.match(name, /^FLUX_AGENT_[A-Z_]+$/)
  assert.equal(variableName('tls.ca_cert'), 'FLUX_AGENT_TLS_CA_CERT')
  // As Kubernetes and Docker set them; FLUX_AGENT_PORT is told by its value.
  const link = /_SERVICE_(HOST|PORT)|_PORT_\d|_ENV_/
  assert.deepEqual(
    names.filter((name) => link.test(name)),
    [],
  )
})

test('variables alone are a whole configuration, without the development defaults', () => {
  const { config, warnings, cwd } = load({
    ...LOOPBACK,
    FLUX_AGENT_PORT: '1234',
    FLUX_AGENT_REDIS_ADDR: "redis://:pa'ss:[1]@host",
    FLUX_AGENT_MAX_OUTPUT_BYTES: '1MiB',
    FLUX_AGENT_NETWORK_NODE_PRIVATE_IP: '10.0.0.1',
    FLUX_AGENT_NETWORK_DENY: '10.0.0.0/8, 25',
    FLUX_AGENT_FUNCTIONS_CODE_CACHE: 'false',
    FLUX_AGENT_ARCHIVE_MAX_RATIO: '3',
    FLUX_AGENT_STATE_DIR: 'state',
    FLUX_AGENT_RUN_AS: '',
  })
  assert.deepEqual(warnings, [])
  assert.equal(config.file, undefined)
  assert.equal(config.agentId, 'a')
  assert.equal(config.port, 1234)
  assert.deepEqual(config.store, { kind: 'redis', address: "redis://:pa'ss:[1]@host" })
  assert.equal(config.maxOutputBytes, 2 ** 20)
  assert.equal(config.network.privateIp, '10.0.0.1')
  assert.deepEqual(config.deny, [{ net: { family: 4, address: '10.0.0.0', bits: 8 } }, { port: 25 }])
  assert.equal(config.functions.codeCache, false)
  assert.equal(config.archive.maxRatio, 3)
  assert.equal(config.stateDir, join(cwd, 'state'))
  if (process.platform !== 'win32') assert.deepEqual(config.runAs, { kind: 'user', name: 'flux-runner' })
})

test('a variable has priority over the file, whose other keys count', () => {
  const file = text('max_tasks: 3\nstate_dir: state\nnetwork:\n  node_private_ip: 10.0.0.1\n')
  const { config, cwd } = load({ FLUX_AGENT_MAX_TASKS: '7', FLUX_AGENT_NETWORK_NODE_PUBLIC_IP: '192.0.2.1' }, file)
  assert.equal(config.agentId, 'of-the-file')
  assert.equal(config.maxTasks, 7)
  assert.deepEqual(config.network, { privateIp: '10.0.0.1', publicIp: '192.0.2.1' })
  assert.equal(config.stateDir, join(cwd, 'state'))
  assert.equal(load({ FLUX_AGENT_MAX_TASKS: ' ' }, file).config.maxTasks, 3)
})

test('relative paths of variables begin at the working directory, those of the file at its folder', () => {
  const cwd = makeTempDir('flux-variables-')
  const file = join(makeTempDir('flux-variables-'), 'agent.yaml')
  writeFileSync(file, text('state_dir: state\napps_dir: apps\nredis_addr: embedded:store\n'))
  const { config } = loadConfig({ file, cwd, env: { FLUX_AGENT_STATE_DIR: 'state' } })
  assert.equal(config.stateDir, join(cwd, 'state'))
  assert.equal(config.appsDir, join(file, '../apps'))
  assert.deepEqual(config.store, { kind: 'embedded', path: join(file, '../store') })
})

test('lists are written with commas or as in the file, quotes of an env file are no part of a value', () => {
  const deny = (value: string) => load({ ...LOOPBACK, FLUX_AGENT_NETWORK_DENY: value }).config.deny
  const two = [{ net: { family: 6, address: 'fd00::', bits: 8 }, port: 25 }, { port: 80 }]
  for (const value of ['[fd00::/8]:25,80', ' [fd00::/8]:25 , "80" ', '["[fd00::/8]:25", 80]', "'[fd00::/8]:25,80'"])
    assert.deepEqual(deny(value), two, value)
  assert.deepEqual(deny('[]'), [])
  assert.equal(load({ ...LOOPBACK, FLUX_AGENT_AGENT_ID: '"node-1"' }).config.agentId, 'node-1')
})

test('errors name the variable', () => {
  const many = '"many" is not allowed; allowed: a whole number from 0 to 1000000'
  const target = 'an IP address, a net as in 10.0.0.0/8, a port, or both as in 10.0.0.1:25 and [fd00::/8]:25'
  for (const [env, file, lines] of [
    [{ FLUX_AGENT_MAX_TASKS: 'many' }, text(''), [`FLUX_AGENT_MAX_TASKS: ${many}`]],
    [{ FLUX_AGENT_MAX_TASKS: '1' }, text('max_queued: many'), [`FILE: max_queued: ${many}`]],
    [
      { FLUX_AGENT_LOG_LEVEL: 'debug' },
      undefined,
      ['FLUX_AGENT_AGENT_ID is missing; allowed: 1 to 128 printable characters'],
    ],
    [
      { ...LOOPBACK, FLUX_AGENT_NETWORK_DENY: '80,x' },
      undefined,
      [`FLUX_AGENT_NETWORK_DENY: "x" is not allowed; allowed: ${target}`],
    ],
    [
      { ...LOOPBACK, FLUX_AGENT_NETWORK_DENY: '[a, ]b]' },
      undefined,
      ['FLUX_AGENT_NETWORK_DENY: "[a, ]b]" is not allowed; allowed: a list of targets'],
    ],
    [
      { ...LOOPBACK, FLUX_AGENT_TLS_CA_CERT: '/ca', FLUX_AGENT_TLS_CERT_FILE: '/cert' },
      undefined,
      ['FLUX_AGENT_TLS_KEY_FILE is missing; allowed: the path of a PEM file, or tls.enabled: false'],
    ],
    [
      { FLUX_AGENT_AGENT_ID: '$(HOSTNAME)' },
      text(''),
      ['FLUX_AGENT_AGENT_ID: $(HOSTNAME) is not expanded; write the value itself'],
    ],
  ] as const)
    assert.deepEqual(errors(env, file), lines)
  const [line = ''] = errors({ FLUX_AGENT_REDIS_ADDR: 'http://:secret@host' }, text(''))
  assert.match(line, /^FLUX_AGENT_REDIS_ADDR: http:\/\/ is the address of a web server, not of a Redis; allowed: /)
  assert.doesNotMatch(line, /secret/)
})

test('unknown variables are told with the nearest name', () => {
  const told = (name: string) => load({ ...LOOPBACK, [name]: '1' }).warnings
  assert.deepEqual(told('FLUX_AGENT_MAX_TASK'), [
    'unknown variable FLUX_AGENT_MAX_TASK is ignored; did you mean FLUX_AGENT_MAX_TASKS?',
  ])
  assert.match(told('FLUX_AGENT_TLS__CA_CERT')[0] ?? '', /did you mean FLUX_AGENT_TLS_CA_CERT\?$/)
  assert.match(told('FLUX_AGENT_ID')[0] ?? '', /did you mean FLUX_AGENT_AGENT_ID\?$/)
  assert.match(told('FLUX_AGENT_CONFIG')[0] ?? '', /did you mean AGENT_CONFIG\?$/)
  assert.deepEqual(told('FLUX_AGENT_XYZZY'), ['unknown variable FLUX_AGENT_XYZZY is ignored'])
  assert.deepEqual(told('FLUX_AGENT_ADDRESS'), [])
  // One may be a misspelt required one.
  assert.deepEqual(errors({ FLUX_AGENT_HOST: '127.0.0.1', FLUX_AGENT_ID: 'a' }), [
    'FLUX_AGENT_AGENT_ID is missing; allowed: 1 to 128 printable characters',
    'unknown variable FLUX_AGENT_ID is ignored; did you mean FLUX_AGENT_AGENT_ID?',
  ])
})

test('the variables of a Kubernetes service named flux-agent set nothing, and the one that could is told', () => {
  const links = {
    FLUX_AGENT_SERVICE_HOST: '10.3.104.46',
    FLUX_AGENT_SERVICE_PORT: '80',
    FLUX_AGENT_SERVICE_PORT_GRPC: '80',
    FLUX_AGENT_PORT: 'tcp://10.3.104.46:80',
    FLUX_AGENT_PORT_80_TCP: 'tcp://10.3.104.46:80',
    FLUX_AGENT_PORT_80_TCP_PROTO: 'tcp',
    FLUX_AGENT_PORT_80_TCP_PORT: '80',
    FLUX_AGENT_PORT_80_TCP_ADDR: '10.3.104.46',
    FLUX_AGENT_METRICS_SERVICE_HOST: '10.3.104.47',
    FLUX_AGENT_METRICS_PORT: 'tcp://10.3.104.47:9464',
  }
  const { config, warnings } = load({ ...LOOPBACK, ...links })
  assert.equal(config.port, 50052)
  assert.deepEqual(warnings, [
    'FLUX_AGENT_PORT=tcp://10.3.104.46:80 is ignored: Kubernetes and Docker set it for a service named flux-agent, and ' +
      'it is no setting; give the service another name, set enableServiceLinks: false, or set FLUX_AGENT_PORT yourself',
  ])
  // They make no configuration where there is none.
  assert.match(load(links).warnings[0] ?? '', /^no configuration file: development defaults/)
})

test('a reload reads the same sources again', () => {
  const cwd = makeTempDir('flux-variables-')
  const env = { ...LOOPBACK, FLUX_AGENT_MAX_TASKS: '7' }
  const { config } = loadConfig({ cwd, env })
  writeFileSync(join(cwd, 'agent.yaml'), text('max_queued: 5'))
  assert.deepEqual(loadAgain(config, { cwd, env }).config, config)
})
