import type { StoreUnavailable } from '../store.js'
import type { RedisConnection } from './connection.js'
import { type RedisCommand, type Reply, sendPipeline } from './pipeline.js'

/** Redis' own errors in the replies. Rejects with StoreUnavailable without a connection. */
export function sendTo(
  connection: RedisConnection,
  commands: readonly RedisCommand[],
  asking = false,
): Promise<readonly Reply[]> {
  return sendPipeline(connection.use(), commands, asking)
}

/** The replies with their errors as the connection explains them. */
export function explained(connection: RedisConnection, replies: readonly Reply[]): readonly Reply[] {
  if (!replies.some(([error]) => error)) return replies
  let broken: StoreUnavailable | undefined
  return replies.map(([error, result]) => {
    if (!error) return [null, result]
    if (error.name === 'ReplyError') return [connection.unavailable(error), undefined, true]
    broken ??= connection.unavailable(error)
    return [broken, undefined]
  })
}
