import type { Redis } from 'ioredis'
import type { Script } from './scripts.js'

/** One command, or a script, on keys of the agent's. */
export type RedisCommand = {
  readonly keys: readonly string[]
  readonly args: readonly (string | number | Buffer)[]
} & ({ readonly name: string } | { readonly script: Script })

/**
 * Digests of the scripts sent on each connection. Behind a new connection the server may be another, or have restarted
 * without them.
 */
const given = new WeakMap<object, Set<string>>()

/**
 * Sends the commands in one pipeline and answers their replies. Rejects with the first error; other commands may have
 * taken effect. A key of ours that somebody else gave another type is deleted, and all commands are sent once more,
 * since it would be refused forever; they may be repeated.
 */
export async function runPipeline(redis: Redis, commands: readonly RedisCommand[]): Promise<unknown[]> {
  const first = await sendKnown(redis, commands)
  const mistyped = commands.filter((_, index) => isWrongType(first[index]?.[0]))
  if (mistyped.length === 0) return repliesOf(first)
  await deleteMistyped(redis, new Set(mistyped.flatMap((command) => command.keys)))
  return repliesOf(await sendKnown(redis, commands))
}

type Reply = readonly [error: Error | null, result: unknown]

/**
 * The server's scripts may have been flushed. Then all commands are sent again, as later ones ran without the script's
 * effect.
 */
async function sendKnown(redis: Redis, commands: readonly RedisCommand[]): Promise<readonly Reply[]> {
  const connection = redis.stream ?? redis
  const known = given.get(connection) ?? new Set()
  given.set(connection, known)
  const replies = await send(redis, commands, known)
  if (!replies.some(([error]) => error?.message.startsWith('NOSCRIPT'))) return replies
  known.clear()
  return send(redis, commands, known)
}

async function send(redis: Redis, commands: readonly RedisCommand[], known: Set<string>): Promise<readonly Reply[]> {
  const sent = new Set<string>()
  const lines = commands.map((command) => {
    if ('name' in command) return [command.name, ...command.keys, ...command.args]
    const { text, digest } = command.script
    const rest = [command.keys.length, ...command.keys, ...command.args]
    if (known.has(digest) || sent.has(digest)) return ['evalsha', digest, ...rest]
    sent.add(digest)
    return ['eval', text, ...rest]
  })
  const replies = (await redis.pipeline(lines).exec()) ?? []
  if (replies.length === commands.length) for (const digest of sent) known.add(digest)
  return replies
}

function repliesOf(replies: readonly Reply[]): unknown[] {
  for (const [error] of replies) if (error) throw error
  return replies.map(([, result]) => result)
}

/** Redis 6 and older put the code in the middle of the message, inside scripts. */
function isWrongType(error: Error | null | undefined): boolean {
  return error?.message.includes('WRONGTYPE') ?? false
}

/** The set of running ids is the only key in commands that is not a string. */
async function deleteMistyped(redis: Redis, keys: ReadonlySet<string>): Promise<void> {
  for (const key of keys) {
    const type = await redis.type(key)
    const expected = key.startsWith('flux-agent:running:') ? 'set' : 'string'
    if (type !== 'none' && type !== expected) await redis.del(key)
  }
}
