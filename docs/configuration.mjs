// Writes configuration.md from the schema of the configuration, and what is said here of its keys. Build first.
//   node docs/configuration.mjs            writes it
//   node docs/configuration.mjs --check    fails where it is stale
import { KEYS } from '../dist/src/config/keys.js'
import { SECTIONS } from '../dist/src/config/schema.js'
import { allowedValues } from '../dist/src/config/values.js'
import { writePage } from './page.mjs'

const UNITS = ['TiB', 'GiB', 'MiB', 'KiB']

/** One sentence for each key, and its default in words where the value would not tell. */
const SAID = {
  agent_id: said("The agent's name at the control plane, unique there.", 'required'),
  host: said('The address to listen on; `::` is every one of this machine, IPv6 and IPv4.'),
  port: said('The port to listen on; 0: any free one.'),
  redis_addr: said('Where functions and records are kept.', '`redis://localhost:6379`'),
  max_tasks: said('Executions that run at once on this node; 0: no limit but that of each function.'),
  max_queued: said('Executions that may wait for a slot on this node; one more is refused.'),
  max_output_bytes: said('Output kept of one execution; a longer one is cut, and the process goes on.'),
  store_backlog_bytes: said('What may wait on disk for the store; beyond it new async executions are refused.'),
  drain_seconds: said('How long a stopping agent lets executions go on before it ends them.'),
  survive_seconds: said(
    'How long async executions run on without an agent, after a crash or a handover, for the next one to take them over. 0: not at all.',
  ),
  run_as: said("The user functions run as; `self`: the agent's own.", '`flux-runner`; Windows: `self`'),
  allow_root: said('Whether that user may be root, under whatever name.'),
  apps_dir: said(
    'Where deployed functions are kept.',
    "`apps` in that user's home, or in `state_dir` where functions run as the agent's own",
  ),
  state_dir: said(
    "The agent's own files: [the state folder](operations.md#the-state-folder).",
    '`/var/lib/flux-agent`; Windows: `./data`',
  ),
  workers: said('Threads that supervise processes.', 'one a core, at most 4'),
  isolation: said('Whether a function whose limits cannot be enforced runs without them, or is refused.'),
  no_new_privileges: said('Whether setuid programs, as sudo, give a function no rights. Linux only.'),
  max_processes: said('Processes and threads of one execution; 0: no limit. Needs cgroup v2.'),
  oom_kill: said('What the kernel kills [when memory runs out](isolation.md#when-memory-runs-out).'),
  log_level: said(
    'The least serious lines that are logged: `debug` adds three for each execution, and one for each that is refused.',
  ),

  'network.node_private_ip': said(
    'What functions find in `FLUX_NODE_PRIVATE_IP`.',
    'the first IPv4 address that is not loopback',
  ),
  'network.node_public_ip': said(
    'What functions find in `FLUX_NODE_PUBLIC_IP`.',
    'what https://api.ipify.org answers within 5 s',
  ),

  'network.deny': said(
    'What functions [cannot reach](isolation.md#the-network) beside the agent and its store, as `[169.254.169.254, 10.0.0.0/8, 25]`. Separate functions only.',
  ),
  'network.functions': said("Whether functions have the node's network, or none but a loopback of their own."),

  'functions.isolation': said(
    'Whether each function runs as a user of its own, [shut off from the others](isolation.md), or all as `run_as`.',
  ),
  'functions.uids': said('The user and group ids that functions get, one each.', '`2100000000-2100065535`'),
  'functions.tmp_bytes': said('What one function may keep in `/tmp`, `/var/tmp` and `/dev/shm` together, in memory.'),
  'functions.disk_bytes': said('What one function may keep on disk: home, caches and temporary folders. 0: no limit.'),
  'functions.code_cache': said('Whether interpreters keep compiled code from one execution to the next.'),

  'tls.enabled': said('Whether the port speaks TLS; `false` turns it off in spite of the files.'),
  'tls.ca_cert': said('The authority that signs agents and clients.', 'required with TLS'),
  'tls.cert_file': said("This agent's certificate, its issuers behind it.", 'required with TLS'),
  'tls.key_file': said('Its private key, without a passphrase.', 'required with TLS'),
  'tls.allowed_clients': said('Names (CN or DNS SAN) of the client certificates that may call.'),

  'redis.ca_cert': said('The authority that has signed the certificate of Redis.', 'the public ones'),
  'redis.cert_file': said('The certificate that the agent shows to Redis; needs `redis.key_file`.'),
  'redis.key_file': said('Its private key; needs `redis.cert_file`.'),
  'redis.server_name': said('The name in the certificate of Redis.', 'the host of `redis_addr`'),

  'redis.password_file': said(
    'A file with the password for Redis, on one line, where it is not in `redis_addr`; read again for each connection.',
  ),
  'redis.sentinel_user': said(
    'The user at the Sentinels, where they have users; needs `redis.sentinel_password_file`.',
    'the default one',
  ),
  'redis.sentinel_password_file': said('The password for the Sentinels, in the same way, where they want one.'),

  'metrics.listen': said(
    'Where [metrics](metrics.md) and a page for people are served, by HTTP to everybody who reaches it; port 0: any free one.',
    'none: nothing is served or counted',
  ),
  'metrics.allowed_hosts': said(
    'Names that the node is called by there, [beside an address, `localhost` and its host name](metrics.md#who-may-read-it).',
  ),

  'archive.max_entries': said('Files, folders and links that one deployed archive may hold.'),
  'archive.max_bytes': said('What one deployed archive may take when unpacked.'),
  'archive.max_ratio': said('How many times its packed size a deployed archive may take when unpacked.'),

  'traces.endpoint': said(
    'The collector that gets [the spans of executions](tracing.md), by OTLP over HTTP; a URL without a path has `/v1/traces`.',
    'no spans',
  ),
  'traces.headers_file': said(
    'What each request carries beside that, such as credentials: one header on each line, as in `authorization: Bearer abc`.',
  ),
  'traces.ca_cert': said("The authority that signed the collector's certificate.", 'those that Node trusts'),
  'traces.cert_file': said('What the agent presents to it.'),
  'traces.key_file': said("That certificate's key, without a passphrase."),
}

for (const key of Object.keys(SAID))
  if (!(key in KEYS)) fail(`docs/configuration.mjs has a sentence for ${key}, which is no key`)
writePage('configuration.md', { KEYS: Object.entries(SECTIONS).map(table).join('\n\n') })

function table([section, shape]) {
  const keys = Object.keys(shape).filter((key) => !(key in SECTIONS))
  const title = section === '' ? 'At the top' : `In \`${section}\``
  return [
    `### ${title}`,
    '',
    '| key | what it is for | type, and what is allowed | default | a change takes |',
    '| --- | --- | --- | --- | --- |',
    ...keys.map((key) => row(section === '' ? key : `${section}.${key}`, shape[key])),
  ].join('\n')
}

function row(key, schema) {
  const { text, usual } = SAID[key] ?? fail(`${key} has no sentence in docs/configuration.mjs`)
  const { reloads } = KEYS[key]
  const cells = [`\`${key}\``, text, allowedBy(schema), usual ?? defaultOf(schema), reloads ? 'reload' : 'restart']
  return `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`
}

/** Of the schema inside those that make it optional or give it a default. */
function allowedBy(schema) {
  const found = allowedValues.get(schema)
  if (found) return found.allowed
  return allowedBy(schema.def.innerType)
}

function defaultOf(schema) {
  const value = schema.def.defaultValue
  if (value === undefined) return 'none'
  const isSize = /^a size/.test(allowedBy(schema))
  return `\`${isSize ? sizeText(value) : Array.isArray(value) ? `[${value.join(', ')}]` : value}\``
}

function sizeText(bytes) {
  for (const [at, unit] of UNITS.entries()) {
    const factor = 2 ** (10 * (UNITS.length - at))
    if (bytes >= factor && bytes % factor === 0) return `${bytes / factor}${unit}`
  }
  return `${bytes}`
}

function said(text, usual) {
  return { text, usual }
}

function fail(message) {
  console.error(message)
  process.exit(1)
}
