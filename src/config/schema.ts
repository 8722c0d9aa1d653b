import { isIP } from 'node:net'
import { availableParallelism } from 'node:os'
import { distance } from 'fastest-levenshtein'
import * as z from 'zod'
import type { FunctionNetwork, OomKill } from '../os/platform.js'
import { type AddressError, parseRedisAddress } from '../store/redis/address.js'
import { readEndpoint } from './endpoint.js'
import { readNetworkTarget } from './network-target.js'

/**
 * The keys of the configuration file. Every scalar is parsed from its text as written: an id of digits keeps its zeros,
 * and a quoted number is a number. Each issue's message says what is allowed.
 */

const MiB = 2 ** 20
const GiB = 2 ** 30
/** The next ones stand for "none" (chown(2)), and for ids that do not fit. */
const LAST_UID = 4_294_967_293
const UNITS: Readonly<Record<string, number>> = { '': 1, B: 1, KiB: 2 ** 10, MiB, GiB, TiB: 2 ** 40 }

/** What each value's schema allows; shown in docs/configuration.md. */
export const allowedValues = z.registry<{ readonly allowed: string }>()

/** A key parsed from text; `read` answers undefined for invalid text. */
function key<T>(allowed: string, read: (text: string) => T | undefined) {
  const schema = z.string(allowed).transform((text, context): T => {
    const value = read(text)
    if (value !== undefined) return value
    context.addIssue(allowed)
    return z.NEVER
  })
  return schema.register(allowedValues, { allowed })
}

function matching(pattern: RegExp, allowed: string) {
  return key(allowed, (text) => (pattern.test(text) ? text : undefined))
}

function oneOf<T extends string>(values: readonly T[]) {
  return key(`one of ${values.join(', ')}`, (text) => values.find((value) => value === text))
}

function whole(min: number, max: number) {
  return key(`a whole number from ${min} to ${max}`, (text) => {
    const value = Number(text)
    return /^\d+$/.test(text) && value >= min && value <= max ? value : undefined
  })
}

/** Bytes, plain or with a binary unit. */
function size(min: string, max: string) {
  const least = parseSize(min) ?? 0
  const most = parseSize(max) ?? 0
  return key(`a size from ${min} to ${max}, in bytes or with a unit as in 32MiB`, (text) => {
    const bytes = parseSize(text)
    return bytes !== undefined && bytes >= least && bytes <= most ? bytes : undefined
  })
}

function parseSize(text: string): number | undefined {
  const [, digits, unit = ''] = /^(\d+) ?([KMGT]iB|B|)$/.exec(text) ?? []
  const factor = UNITS[unit]
  return digits === undefined || factor === undefined ? undefined : Number(digits) * factor
}

/** User ids, as in /etc/subuid written with both ends. */
function idRange(allowed: string) {
  return key(allowed, (text) => {
    const [, first, last] = /^(\d{1,10})-(\d{1,10})$/.exec(text) ?? []
    const range = { first: Number(first), last: Number(last) }
    return range.first > 0 && range.first <= range.last && range.last <= LAST_UID ? range : undefined
  })
}

/** Where the store is, before paths are resolved; `path` absent: the default folder. */
export type StoreSetting =
  | { readonly kind: 'redis'; readonly address: string }
  | { readonly kind: 'embedded'; readonly path?: string }

const STORES =
  'redis://, rediss://, redis+sentinel://, rediss+sentinel://, redis+cluster://, rediss+cluster://, host:port, a host, unix:///path, an absolute socket ' +
  'path, embedded or embedded:FOLDER'

/** Edit distance up to which a word counts as a misspelt `embedded`. */
const MISSPELLED = 3

const redisAddr = z.string(STORES).transform(readStore).register(allowedValues, { allowed: STORES })

function readStore(text: string, context: z.RefinementCtx): StoreSetting {
  if (text === 'embedded') return { kind: 'embedded' }
  const [, folder] = /^embedded:(.+)$/.exec(text) ?? []
  if (folder !== undefined) return { kind: 'embedded', path: folder }
  const refuse = (reason: string) => {
    context.addIssue({ code: 'custom', message: STORES, params: { reason } })
    return z.NEVER
  }
  const word = /^[a-z]+(?=$|[:/ ])/i.exec(text)?.[0]
  if (word && !text.includes('@') && distance(word.toLowerCase(), 'embedded') <= MISSPELLED) {
    const host = `a host of that name is redis://${word}`
    return refuse(`did you mean "embedded", or "embedded:FOLDER"? ${host}`)
  }
  try {
    parseRedisAddress(text)
    return { kind: 'redis', address: text }
  } catch (error) {
    return refuse((error as AddressError).message)
  }
}

const flag = key('true or false', (text) => ({ true: true, false: false })[text.toLowerCase()])
const ip = key('an IP address', (text) => (isIP(text) > 0 ? text : undefined))
const folder = matching(/^[^\0]+$/, 'the path of a folder')
const pemFile = matching(/^(?!.*-----BEGIN)[^\0\r\n]+$/, 'the path of a PEM file that the agent can read')
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

const redis = z
  .object(
    {
      ca_cert: pemFile.optional(),
      cert_file: pemFile.optional(),
      key_file: pemFile.optional(),
      server_name: matching(/^[\w.-]{1,253}$/, 'the name in the certificate of Redis').optional(),
      password_file: secretFile.optional(),
      sentinel_password_file: secretFile.optional(),
    },
    SECTION,
  )
  .refine(({ cert_file }) => cert_file !== undefined, {
    path: ['cert_file'],
    message: 'the certificate of key_file',
    when: ({ value }) => (value as { key_file?: string }).key_file !== undefined,
  })
  .refine(({ key_file }) => key_file !== undefined, {
    path: ['key_file'],
    message: 'the key of cert_file',
    when: ({ value }) => (value as { cert_file?: string }).cert_file !== undefined,
  })

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

const traces = z.object({ endpoint: key(COLLECTOR, readCollector).optional() }, SECTION)

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
