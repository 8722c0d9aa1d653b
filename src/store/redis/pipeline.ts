import type { Redis } from 'ioredis'
import { typeOf } from './keys.js'
import type { Script } from './scripts.js'

/** One command, or a script, on keys of the agent's. */
export type RedisCommand = {
  /** All in one slot, as far as a cluster may get the command. */
  readonly keys: readonly string[]
  readonly args: readonly (string | number | Buffer)[]
} & ({ readonly name: string } | { readonly script: Script })

/** `refused`: the error is the server's own answer to this command. */
export type Reply = readonly [error: Error | null, result: unknown, refused?: boolean]

/** Sends the commands, and answers the reply to each. */
export interface Sender {
  send(commands: readonly RedisCommand[]): Promise<readonly Reply[]>
}

/**
 * Digests of the scripts sent on each connection. Behind a new connection the server may be another, or have restarted
 * without them.
 */
const given = new WeakMap<object, Set<string>>()

/**
 * Sends the commands and answers their replies. Rejects with the first error; other commands may have taken effect. A
 * key of ours that somebody else gave another type is deleted, and all commands are sent once more, since it would be
 * refused forever; they may be repeated.
 */
export async function runPipeline(to: Sender, commands: readonly RedisCommand[]): Promise<unknown[]> {
  const first = await to.send(commands)
  const mistyped = commands.filter((_, index) => isWrongType(first[index]?.[0]))
  if (mistyped.length === 0) return repliesOf(first)
  await deleteMistyped(to, [...new Set(mistyped.flatMap((command) => command.keys))])
  return repliesOf(await to.send(commands))
}

/** Redis 6 and older put the code in the middle of the message, inside scripts. */
export function isWrongType(error: Error | null | undefined): boolean {
  return error?.message.includes('WRONGTYPE') ?? false
}

/**
 * Sends the commands in one pipeline; with `asking`, of slots that the node is getting from another. The server's
 * scripts may have been flushed. Then all commands are sent again, as later ones ran without the script's effect.
 */
export async function sendPipeline(
  redis: Redis,
  commands: readonly RedisCommand[],
  asking = false,
): Promise<readonly Reply[]> {
  const connection = redis.stream ?? redis
  const known = given.get(connection) ?? new Set()
  given.set(connection, known)
  const replies = await send(redis, commands, known, asking)
  if (!replies.some(([error]) => error?.message.startsWith('NOSCRIPT'))) return replies
  known.clear()
  return send(redis, commands, known, asking)
}

async function send(
  redis: Redis,
  commands: readonly RedisCommand[],
  known: Set<string>,
  asking: boolean,
): Promise<readonly Reply[]> {
  const sent = new Set<string>()
  const lines = commands.map((command) => {
    if ('name' in command) return [command.name, ...command.keys, ...command.args]
    const { text, digest } = command.script
    const rest = [command.keys.length, ...command.keys, ...command.args]
    if (known.has(digest) || sent.has(digest)) return ['evalsha', digest, ...rest]
    sent.add(digest)
    return ['eval', text, ...rest]
  })
  const all = asking ? lines.flatMap((line) => [['asking'], line]) : lines
  const replies = (await redis.pipeline(all).exec()) ?? []
  if (replies.length === all.length) for (const digest of sent) known.add(digest)
  return asking ? replies.filter((_, index) => index % 2 === 1) : replies
}

function repliesOf(replies: readonly Reply[]): unknown[] {
  for (const [error] of replies) if (error) throw error
  return replies.map(([, result]) => result)
}

async function deleteMistyped(to: Sender, keys: readonly string[]): Promise<void> {
  const types = await to.send(keys.map((key) => ({ name: 'type', keys: [key], args: [] })))
  const mistyped = keys.filter((key, index) => !['none', typeOf(key)].includes(String(types[index]?.[1])))
  await to.send(mistyped.map((key) => ({ name: 'del', keys: [key], args: [] })))
}
