import type { Redis } from 'ioredis'

/** One command on keys of ours; with `script`, that script on them. */
export interface RedisCommand {
  readonly name: string
  readonly script?: string
  readonly keys: readonly string[]
  readonly args: readonly (string | number | Buffer)[]
}

/**
 * Sends the commands in one go and answers their replies. Rejects with the first error among them; the others may have
 * been carried out. A key of ours that holds another type (somebody else wrote there) is deleted and all commands are
 * sent again, once: they can be repeated, and it would be refused for ever.
 */
export async function runPipeline(redis: Redis, commands: readonly RedisCommand[]): Promise<unknown[]> {
  const first = await send(redis, commands)
  const mistyped = commands.filter((_, index) => isWrongType(first[index]?.[0]))
  if (mistyped.length === 0) return repliesOf(first)
  await deleteMistyped(redis, new Set(mistyped.flatMap((command) => command.keys)))
  return repliesOf(await send(redis, commands))
}

type Reply = readonly [error: Error | null, result: unknown]

async function send(redis: Redis, commands: readonly RedisCommand[]): Promise<readonly Reply[]> {
  const lines = commands.map(({ name, script, keys, args }) =>
    script === undefined ? [name, ...keys, ...args] : [name, script, keys.length, ...keys, ...args],
  )
  return (await redis.pipeline(lines).exec()) ?? []
}

function repliesOf(replies: readonly Reply[]): unknown[] {
  for (const [error] of replies) if (error) throw error
  return replies.map(([, result]) => result)
}

/** Redis 6 and older put the code of an error inside a script in the middle of the message. */
function isWrongType(error: Error | null | undefined): boolean {
  return error?.message.includes('WRONGTYPE') ?? false
}

/** The set of running ids is the only key of ours that is not a string. */
async function deleteMistyped(redis: Redis, keys: ReadonlySet<string>): Promise<void> {
  for (const key of keys) {
    const type = await redis.type(key)
    const expected = key.startsWith('flux-agent:running:') ? 'set' : 'string'
    if (type !== 'none' && type !== expected) await redis.del(key)
  }
}
