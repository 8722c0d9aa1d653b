import { UNTRUSTED } from '../../access/client-tls.js'
import type { StoreProblem } from '../store.js'

/** The connection on which an error occurred. */
export interface RedisContext {
  readonly tls: boolean
  /** Whether Sentinels tell which Redis it is. */
  readonly sentinel: boolean
  /** Whether it is a node of a cluster, as the address says. */
  readonly cluster: boolean
  /** The agent's user on Redis; undefined: the default user. */
  readonly user: string | undefined
  /** The file that contains its password; undefined: the address does, or there is none. */
  readonly passwordFile: string | undefined
  /** For how long writes have been refused because it is a replica, ms. */
  readonly readOnlyMs: number
}

/** During a failover a Redis is read-only for a moment; after this long it is a replica for good. */
const READ_ONLY_PATIENCE_MS = 5_000

type Advice = string | ((command: string, context: RedisContext) => string)

interface Rule {
  readonly permanent: boolean | ((context: RedisContext) => boolean)
  readonly fix?: Advice
}

const KEYS = '~agent:function:* ~flux:exec* ~flux-agent:*'
const ADDRESS = 'correct redis_addr'
const SOCKET = 'give the socket that Redis makes (unixsocket in redis.conf) in redis_addr'
const NO_EXISTS =
  'the agent needs a Redis that has EXISTS; if it is a Sentinel, write redis+sentinel://host,host/NAME in redis_addr'
const ONE_NODE = 'it is one node of a Redis Cluster: write redis+cluster://host:port,host:port in redis_addr'
const CREDENTIALS: Advice = (_, { passwordFile }) =>
  passwordFile
    ? `correct the password in ${passwordFile} (redis.password_file), or the user in redis_addr: redis://user:@host`
    : 'correct user and password in redis_addr: redis://user:password@host'
const TRUST = 'give the authority that has signed its certificate in redis.ca_cert'
const CLIENT_CERTIFICATE = 'give a certificate that it accepts in redis.cert_file and redis.key_file'
const NO_TLS = 'it does not speak TLS there: give its TLS port, or redis:// instead of rediss://'
const RENEW = 'replace the certificate of Redis'

const outage = (fix?: Advice): Rule => ({ permanent: false, ...(fix !== undefined && { fix }) })
/** An outage, but where the address is that of one node. */
const ofCluster = (fix: string): Rule => ({
  permanent: ({ cluster }) => !cluster,
  fix: (_, { cluster }) => (cluster ? fix : ONE_NODE),
})
const permanent = (fix: Advice): Rule => ({ permanent: true, fix })

/** Redis' errors, by their first word or words in them; temporary ones first. */
const REPLIES: readonly (readonly [RegExp, Rule])[] = [
  [coded('LOADING', 'MASTERDOWN'), outage()],
  [coded('BUSY'), outage('a script of somebody else blocks it: SCRIPT KILL ends that')],
  [coded('OOM'), outage('raise its maxmemory, or delete what it need not keep')],
  [coded('MISCONF'), outage('let it write to its disk again: its log says why it cannot')],
  [coded('NOREPLICAS'), outage('it waits for its replicas: min-replicas-to-write')],
  [/max number of clients/i, outage('raise its maxclients')],
  [
    coded('READONLY'),
    {
      permanent: ({ readOnlyMs, sentinel }) => !sentinel && readOnlyMs >= READ_ONLY_PATIENCE_MS,
      fix: (_, { sentinel }) =>
        sentinel
          ? 'it is a replica that its Sentinels take for the primary: compare SENTINEL MASTER of each'
          : 'it is a replica: give the address of its primary in redis_addr',
    },
  ],
  [
    coded('NOAUTH'),
    permanent('it wants a password: redis_addr: redis://user:password@host, or a file in redis.password_file'),
  ],
  [coded('WRONGPASS'), permanent(CREDENTIALS)],
  [/invalid password|invalid username|without any password configured/i, permanent(CREDENTIALS)],
  [/operation not permitted/i, permanent(CREDENTIALS)],
  [
    /NOPERM.*keys|can't access at least one of the keys/is,
    permanent((_, { user = 'default' }) => `let its user have the keys: ACL SETUSER ${user} ${KEYS}`),
  ],
  [
    coded('NOPERM'),
    permanent((command, { user = 'default' }) => `let its user do that: ACL SETUSER ${user} +${command.toLowerCase()}`),
  ],
  [
    /can't run this command/i,
    permanent((_, { user = 'default' }) => `let its user do what scripts do: ACL SETUSER ${user} +@read +@write`),
  ],
  [coded('DENIED'), permanent('its protected mode keeps this machine out: give it a password, or bind it to loopback')],
  [coded('CROSSSLOT'), permanent(ONE_NODE)],
  [coded('MOVED', 'ASK'), ofCluster('its nodes do not agree on who serves a slot: redis-cli --cluster check')],
  [coded('CLUSTERDOWN'), ofCluster('not all of its slots are served: redis-cli --cluster check, and --cluster fix')],
  [coded('TRYAGAIN'), ofCluster('a slot is being moved: if that is no longer so, redis-cli --cluster fix')],
  [/cluster support disabled/i, permanent('it is no cluster: write redis:// in redis_addr')],
  [/not allowed in cluster mode/i, permanent(ONE_NODE)],
  [/DB index|invalid DB/i, permanent('it has no such database: correct the number behind the / in redis_addr')],
  [/unknown command ['`]exists/i, permanent(NO_EXISTS)],
  [
    /unknown (redis )?(sub)?command|unsupported|not supported|not allowed from script|wrong number of arguments|syntax error/i,
    permanent((command) => `the agent needs a Redis 4 or newer that has ${command}: give one in redis_addr`),
  ],
  [/proto-max-bulk-len|invalid bulk length/i, permanent('raise its proto-max-bulk-len to 64mb or more')],
]

/** Connection errors, by their code. */
const CONNECTION: readonly (readonly [RegExp, Rule])[] = [
  [
    /^ECONNREFUSED$/,
    outage((_, { sentinel, cluster }) => {
      if (sentinel) return 'its Sentinels still name that one: they have chosen no other yet'
      return cluster ? 'start it: no replica has taken its slots over yet' : `start Redis, or ${ADDRESS}`
    }),
  ],
  [/^ENOENT$/, outage(`start Redis, which makes that socket, or ${ADDRESS}`)],
  [/^(EACCES|EPERM)$/, permanent("let the agent's user write to that socket: unixsocketperm in redis.conf")],
  [/^ENOTDIR$/, permanent(ADDRESS)],
  [/^ENOTSOCK$/, permanent(SOCKET)],
  [/^EPROTOTYPE$/, permanent(`what is there is a socket of another kind: ${SOCKET}`)],
  [/^(ENOTFOUND|EAI_\w+)$/, outage(`no such name is known on this machine: ${ADDRESS}, or its DNS`)],
  [
    /^(ETIMEDOUT|EHOSTUNREACH|ENETUNREACH|EHOSTDOWN|ENETDOWN)$/,
    outage((_, { tls }) => `it is out of reach${tls ? ', or speaks no TLS there' : ''}: ${ADDRESS}, or the network`),
  ],
  [UNTRUSTED, permanent(TRUST)],
  [/^(CERT_HAS_EXPIRED|CERT_NOT_YET_VALID|CERT_REVOKED|CERT_REJECTED)$/, permanent(RENEW)],
  [
    /^(ERR_TLS_CERT_ALTNAME_INVALID|HOSTNAME_MISMATCH)$/,
    permanent('its certificate has another name: give that in redis_addr, or in redis.server_name'),
  ],
  [/^ERR_SSL_\w*ALERT_(CERTIFICATE|UNKNOWN_CA|BAD_CERTIFICATE|HANDSHAKE|\w*ACCESS)/, permanent(CLIENT_CERTIFICATE)],
  [/^ERR_SSL_(WRONG_VERSION_NUMBER|PACKET_LENGTH_TOO_LONG|HTTP_REQUEST)$/, permanent(NO_TLS)],
  [/^(ERR_SSL_|EPROTO)/, permanent('it and the agent agree on no TLS: TLS 1.2 or newer is needed')],
]

const NO_REDIS: Rule = permanent('what answers there is no Redis, or speaks TLS (rediss://): correct redis_addr')
const SILENT = outage('what listens there hangs up without an answer: is it a Redis, and without TLS (rediss://)?')

/** No Sentinel names a primary. */
export class NoPrimary extends Error {
  override readonly name = 'NoPrimary'

  constructor(readonly why: StoreProblem) {
    super(why.problem)
  }
}

/** The server closed the connection before it sent anything. */
export class HungUp extends Error {
  override readonly name = 'HungUp'
}

/** The socket's path is a file or a folder. */
export class NoSocket extends Error {
  override readonly name = 'NoSocket'
  readonly code = 'ENOTSOCK'

  constructor(kind: 'folder' | 'file') {
    super(`a ${kind} is there, and no socket`)
  }
}

/** Explains an error of Redis, or of the connection to it. */
export function redisProblem(error: unknown, context: RedisContext): StoreProblem {
  if (error instanceof NoPrimary) return error.why
  const said = describe(error)
  const rule = ruleFor(error, said)
  const command = refusedCommand(error, said)
  const isPermanent = typeof rule?.permanent === 'function' ? rule.permanent(context) : (rule?.permanent ?? false)
  const fix = typeof rule?.fix === 'function' ? rule.fix(command ?? 'it', context) : rule?.fix
  const problem = isPermanent && command && !said.includes(`'${command.toLowerCase()}'`) ? `${command}: ${said}` : said
  return { problem, fix, permanent: isPermanent }
}

/** Whether a Redis refused a write because it is a replica. */
export function isReadOnly(error: unknown): boolean {
  return error instanceof Error && coded('READONLY').test(withoutArguments(error.message))
}

/** Whether what refused EXISTS will refuse every other command, too, and in words that say less. */
export function refusesAll(error: Error): boolean {
  return /^NOAUTH\b|unknown command/i.test(error.message)
}

/** Whether the server lacks the command, or the user may not use it. */
export function isCommandRefused(error: unknown): boolean {
  return error instanceof Error && /NOPERM|unknown command/i.test(error.message)
}

/** Whether Redis, or a Sentinel, wants a password, or another one. */
export function wantsOtherPassword(error: unknown): boolean {
  return error instanceof Error && /^NOAUTH\b|WRONGPASS|invalid password/i.test(error.message)
}

/** Whether nothing listens at the address. */
export function isRefused(error: unknown): boolean {
  return codeOf(error) === 'ECONNREFUSED'
}

/** Whether the server broke the connection. */
export function isReset(error: unknown): boolean {
  return /^(ECONNRESET|EPIPE)$/.test(codeOf(error) ?? '')
}

function ruleFor(error: unknown, said: string): Rule | undefined {
  if (error instanceof HungUp) return SILENT
  const code = codeOf(error)
  if (code !== undefined) return CONNECTION.find(([pattern]) => pattern.test(code))?.[1]
  // ioredis' own errors, for replies that no Redis sends.
  if (/RESP type|protocol error, got/i.test(said)) return NO_REDIS
  return REPLIES.find(([pattern]) => pattern.test(said))?.[1]
}

/** Redis 6 and older put the code of an error inside a script in the middle of the message. */
function coded(...words: readonly string[]): RegExp {
  return new RegExp(`(?:^|[\\s-])(?:${words.join('|')})\\b`)
}

/** The command that a script was refused for, as named in the answer; else the command that was sent. */
function refusedCommand(error: unknown, said: string): string | undefined {
  const [, named] = /(?:command|the) ['`]([\w|]+)['`]/.exec(said) ?? /'([\w|]+)' command/.exec(said) ?? []
  const { command } = (error ?? {}) as { command?: { name?: unknown } }
  const name = named ?? command?.name
  return typeof name === 'string' ? name.toUpperCase() : undefined
}

/** An error of several addresses tried at once has only a code, no message. */
function describe(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  // ioredis' error for it advises programmers.
  if (error.name === 'MaxRetriesPerRequestError') return 'the connection broke before the answer came'
  const [, reason] = /^[\dA-F]+:error:\w+:[^:]*:[^:]*:([^:]+):/.exec(error.message) ?? []
  return (
    withoutArguments(reason ?? error.message)
      .replace(/\. Please report this\.?$/, '')
      .trim() ||
    codeOf(error) ||
    error.name
  )
}

/** Redis may quote arguments, which are users' data. */
function withoutArguments(message: string): string {
  return message.replace(/,? with args beginning with:.*$/s, '')
}

function codeOf(error: unknown): string | undefined {
  const { code } = (error ?? {}) as { code?: unknown }
  return typeof code === 'string' ? code : undefined
}
