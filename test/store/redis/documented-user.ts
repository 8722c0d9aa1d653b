import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import type { RedisServer } from '../../../harness/redis.js'

const DOCUMENT = resolve(import.meta.dirname, '../../../../docs/redis.md')

/** What docs/redis.md gives the agent's user, after ACL SETUSER; its password is `secret`. */
export function documentedUser(onCluster = false): string[] {
  const text = readFileSync(DOCUMENT, 'utf8')
  const [, line] = /^ACL SETUSER (flux-agent .*)$/m.exec(text) ?? []
  const [, more] = /`([^`]+)` on a\s+cluster/.exec(text) ?? []
  assert.ok(line && more)
  return [...line.replace('PASSWORD', 'secret').split(' '), ...(onCluster ? more.split(' ') : [])]
}

/** Makes that user, changed by `rules`. */
export function setDocumentedUser(server: RedisServer, ...rules: readonly string[]): Promise<void> {
  return server.with(async (redis) => {
    await redis.call('ACL', 'SETUSER', 'flux-agent', 'reset')
    const onCluster = server.option('--cluster-enabled') === 'yes'
    await redis.call('ACL', 'SETUSER', ...documentedUser(onCluster), ...rules)
    await redis.call('ACL', 'LOG', 'RESET')
  })
}

/** Commands and keys that were refused since. */
export function refusalsOf(server: RedisServer): Promise<(string | undefined)[]> {
  return server.with(async (redis) => {
    const log = (await redis.call('ACL', 'LOG')) as string[][]
    return log.map((entry) => entry[entry.indexOf('object') + 1])
  })
}
