import { availableParallelism } from 'node:os'
import * as z from 'zod'
import type { FunctionNetwork, OomKill } from '../os/platform.js'
import { readEndpoint } from './endpoint.js'
import { readNetworkTarget } from './network-target.js'
import { redisAddr } from './store-setting.js'
import {
  allowedValues,
  flag,
  folder,
  GiB,
  idRange,
  ip,
  key,
  MiB,
  matching,
  oneOf,
  pemFile,
  size,
  whole,
} from './values.js'

/** The keys of the configuration file. */

const secretFile = matching(/^[^\0\r\n]+$/, 'the path of a file with the password, on one line')
const clientName = matching(/^[^\p{C}]+$/u, 'a name as in the CN or a DNS SAN of a client certificate')
const clientNames = z
  .array(clientName, 'a list of names')
  .min(1, 'a list of at least one name')
  .register(allowedValues, { allowed: 'a list of at least one name' })
const TARGET = 'an IP address, a net as in 10.0.0.0/8, a port, or both as in 10.0.0.1:25 and [fd00::/8]:25'
const networkTargets = z
  .array(key(TARGET, readNetworkTarget), 'a list of targets')
  .register(allowedValues, { allowed: `a list, each ${TARGET}` })
const LOG_LEVELS = ['debug', 'info', 'warn', 'error'] as const
export type LogLevel = (typeof LOG_LEVELS)[number]
const FUNCTION_NETWORKS: readonly FunctionNetwork[] = ['host', 'none']
const OOM_KILLS: readonly OomKill[] = ['execution', 'process']
const SECTION = 'a section of keys'

const network = z.object(
  {
    node_private_ip: ip.optional(),
    node_public_ip: ip.optional(),
    deny: networkTargets.default([]),
    functions: oneOf(FUNCTION_NETWORKS).default('host'),
  },
  SECTION,
)

const functions = z.object(
  {
    isolation: oneOf(['separate', 'shared']).default('separate'),
    // Clear of Debian's ids, of systemd's, of those in /etc/subuid and of the usual ones of directories (systemd's
    // UIDS-GIDS.md, sssd-ldap(5)).
    uids: idRange('a range of ids as in 2100000000-2100065535').default({ first: 2_100_000_000, last: 2_100_065_535 }),
    tmp_bytes: size('1MiB', '1TiB').default(GiB),
    disk_bytes: size('0', '16TiB').default(0),
    code_cache: flag.default(true),
  },
  SECTION,
)

const tls = z
  .object(
    {
      enabled: flag.default(true),
      ca_cert: pemFile.optional(),
      cert_file: pemFile.optional(),
      key_file: pemFile.optional(),
      allowed_clients: clientNames.default(['flux']),
    },
    SECTION,
  )
  .transform(({ enabled, ca_cert, cert_file, key_file, allowed_clients }, context) => {
    if (!enabled) return undefined
    const files = { ca_cert, cert_file, key_file }
    for (const [name, file] of Object.entries(files)) {
      if (file === undefined) {
        context.addIssue({ code: 'custom', path: [name], message: 'the path of a PEM file, or tls.enabled: false' })
      }
    }
    return ca_cert && cert_file && key_file ? { ca_cert, cert_file, key_file, allowed_clients } : z.NEVER
  })

/** For `refine`: a section has `key`, which is `allowed`, where it has one of the others. */
function needs(key: string, allowed: string, others: readonly string[]) {
  const has = (section: unknown, name: string) => (section as Readonly<Record<string, unknown>>)[name] !== undefined
  const when = ({ value }: { readonly value: unknown }) => others.some((other) => has(value, other))
  const issue: { path: PropertyKey[]; message: string; when: typeof when } = { path: [key], message: allowed, when }
  return [(section: object) => has(section, key), issue] as const
}

const CERTIFICATE = needs('cert_file', 'the certificate of key_file', ['key_file'])
const KEY = needs('key_file', 'the key of cert_file', ['cert_file'])

/** Files for TLS to a server elsewhere. */
const clientTls = { ca_cert: pemFile.optional(), cert_file: pemFile.optional(), key_file: pemFile.optional() }

const redis = z
  .object(
    {
      ...clientTls,
      server_name: matching(/^[\w.-]{1,253}$/, 'the name in the certificate of Redis').optional(),
      password_file: secretFile.optional(),
      sentinel_user: matching(/^[^\s\p{Cc}]{1,256}$/u, 'the name of a user without spaces').optional(),
      sentinel_password_file: secretFile.optional(),
    },
    SECTION,
  )
  .refine(...CERTIFICATE)
  .refine(...KEY)
  .refine(...needs('sentinel_password_file', 'the password of sentinel_user', ['sentinel_user']))

const archive = z.object(
  {
    max_entries: whole(1, 10_000_000).default(100_000),
    max_bytes: size('1MiB', '1TiB').default(4 * GiB),
    max_ratio: whole(1, 1_000_000).default(200),
  },
  SECTION,
)

const HOST_NAME = 'a name as in node-1.example.com, or .example.com for all names below it'
const hostName = key(HOST_NAME, (text) =>
  /^\.?[\w-]{1,63}(\.[\w-]{1,63})*$/.test(text) ? text.toLowerCase() : undefined,
)

const metrics = z.object(
  {
    listen: key('an IP address with a port, as in 127.0.0.1:9464 and [::1]:9464', readEndpoint).optional(),
    allowed_hosts: z
      .array(hostName, 'a list of names')
      .default([])
      .register(allowedValues, { allowed: `a list, each ${HOST_NAME}` }),
  },
  SECTION,
)

const COLLECTOR = 'http:// or https:// and the address of a collector, as in http://localhost:4318'

const traces = z
  .object(
    {
      endpoint: key(COLLECTOR, readCollector).optional(),
      headers_file: matching(/^[^\0\r\n]+$/, 'the path of a file with a header on each line').optional(),
      ...clientTls,
    },
    SECTION,
  )
  .refine(...CERTIFICATE)
  .refine(...KEY)
  .refine(...needs('endpoint', COLLECTOR, ['headers_file', 'ca_cert', 'cert_file', 'key_file']))

/** OTLP/HTTP, "Endpoint URLs": one without a path has the usual one. */
function readCollector(text: string): string | undefined {
  const url = URL.canParse(text) ? new URL(text) : undefined
  // fetch refuses addresses with a password.
  if (!url || !/^https?:$/.test(url.protocol) || url.username || url.password) return undefined
  if (url.pathname === '/') url.pathname = '/v1/traces'
  return url.href
}

/** The whole file with defaults filled in; paths as written. */
export const settingsSchema = z.object(
  {
    agent_id: key('1 to 128 printable characters', (text) =>
      /\S/.test(text) && /^[^\p{C}\p{Zl}\p{Zp}]{1,128}$/u.test(text) ? text : undefined,
    ),
    host: ip.default('::'),
    port: whole(0, 65_535).default(50_052),
    redis_addr: redisAddr.default({ kind: 'redis', address: 'redis://localhost:6379' }),
    redis: redis.optional(),
    network: network.prefault({}),
    functions: functions.prefault({}),
    tls: tls.optional(),
    max_tasks: whole(0, 1_000_000).default(0),
    max_queued: whole(0, 1_000_000).default(1000),
    // A message carries at most 50 MiB, and a sync answer contains the whole output.
    max_output_bytes: size('128KiB', '40MiB').default(32 * MiB),
    store_backlog_bytes: size('1MiB', '64GiB').default(256 * MiB),
    drain_seconds: whole(0, 3600).default(30),
    survive_seconds: whole(0, 86_400).default(300),
    run_as: matching(/^[^\s:/\p{C}]{1,128}$/u, 'the name of a user, or self').default(
      process.platform === 'win32' ? 'self' : 'flux-runner',
    ),
    allow_root: flag.default(false),
    apps_dir: folder.optional(),
    state_dir: folder.default(process.platform === 'win32' ? './data' : '/var/lib/flux-agent'),
    archive: archive.prefault({}),
    metrics: metrics.prefault({}),
    traces: traces.prefault({}),
    workers: whole(1, 64).default(() => Math.min(4, availableParallelism())),
    isolation: oneOf(['best_effort', 'required']).default('best_effort'),
    no_new_privileges: flag.default(true),
    max_processes: whole(0, 4_194_304).default(4096),
    oom_kill: oneOf(OOM_KILLS).default('execution'),
    log_level: oneOf(LOG_LEVELS).default('info'),
  },
  SECTION,
)

/** The file's contents, with paths as written. */
export type Settings = z.output<typeof settingsSchema>

type Section = 'network' | 'functions' | 'tls' | 'redis' | 'archive' | 'metrics' | 'traces'
type KeyIn<S extends Section> = `${S}.${keyof NonNullable<Settings[S]> & string}`

/** A key with its section, as people write it. */
export type ConfigKey =
  | Exclude<keyof Settings, Section>
  | KeyIn<'network'>
  | KeyIn<'functions'>
  | KeyIn<'tls'>
  | KeyIn<'redis'>
  | KeyIn<'archive'>
  | KeyIn<'metrics'>
  | KeyIn<'traces'>
  | 'tls.enabled'

/** Every key with its schema, by its section; `''` holds the top level. */
export const SECTIONS: Readonly<Record<string, Readonly<Record<string, z.ZodType>>>> = {
  '': settingsSchema.shape,
  network: network.shape,
  functions: functions.shape,
  tls: tls.in.shape,
  redis: redis.shape,
  archive: archive.shape,
  metrics: metrics.shape,
  traces: traces.shape,
}

/** All keys by section; `''` is the top level. */
export const KNOWN_KEYS: Readonly<Record<string, readonly string[]>> = Object.fromEntries(
  Object.entries(SECTIONS).map(([section, shape]) => [section, Object.keys(shape)]),
)
