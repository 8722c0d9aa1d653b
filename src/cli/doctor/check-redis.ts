import { X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import type { AgentConfig } from '../../config/config.js'
import { openStore } from '../../store/open.js'
import type { RedisAccess } from '../../store/redis/access.js'
import { type ClusterAddress, parseRedisAddress, type SentinelAddress } from '../../store/redis/address.js'
import type { SentinelAnswer } from '../../store/redis/sentinels.js'
import { nameOf } from '../../store/redis/topology.js'
import { checkDates } from './check-certificates.js'
import { type Finding, fail, ok, warn } from './finding.js'

/** Checks how the agent is let in to Redis, beyond whether it takes writes. */
export async function checkRedis({ store }: AgentConfig): Promise<Finding[]> {
  if (store.kind !== 'redis') return []
  const { access = {} } = store
  const address = parseRedisAddress(store.address)
  return [
    ...(address.tls ? checkFiles(access) : []),
    ...(address.kind === 'sentinel' ? await ask(address, access) : []),
    ...(address.kind === 'cluster' ? [await askCluster(address, access)] : []),
  ]
}

/** Checks what works, but not as it should. Call where the store answers. */
export async function checkReview({ store: location }: AgentConfig): Promise<Finding[]> {
  if (location.kind !== 'redis') return []
  const store = await openStore(location)
  try {
    return (await store.warnings()).map(({ problem, fix }) => warn('store', problem, fix))
  } catch (error) {
    return [warn('store', `not looked at: ${(error as Error).message}`)]
  } finally {
    await store.close()
  }
}

function checkFiles({ caCert, certFile }: RedisAccess): Finding[] {
  const files = [caCert, certFile].filter((file) => file !== undefined)
  if (files.length === 0) return [ok('redis tls', 'by the authorities that this machine trusts, without a certificate')]
  return files.map((file) => {
    const certificate = new X509Certificate(readFileSync(file))
    return checkDates('redis tls', certificate, `put a new certificate in ${file}`, `${file}: `)
  })
}

async function ask(address: SentinelAddress, access: RedisAccess): Promise<Finding[]> {
  const { Sentinels } = await import('../../store/redis/sentinels.js')
  const answers = await new Sentinels(address, access).survey()
  const named = new Set(answers.flatMap((answer) => (answer.kind === 'primary' ? [placeOf(answer)] : [])))
  const problems = answers.flatMap((answer, index): Finding[] => {
    const { host, port } = address.sentinels[index] ?? { host: '', port: 0 }
    const who = `Sentinel ${host}:${port}`
    if (answer.kind === 'unknown')
      return [warn('sentinels', `${who} watches no primary called ${address.name}`, 'correct its configuration')]
    if (answer.kind === 'failed') return [warn('sentinels', `${who}: ${answer.problem.problem}`, answer.problem.fix)]
    return named.size > 1 ? [warn('sentinels', `${who} names ${placeOf(answer)}, others another primary`)] : []
  })
  if (named.size === 0) return [fail('sentinels', 'none names a primary', 'correct redis_addr'), ...problems]
  const count = answers.length - problems.length
  return count > 0 ? [ok('sentinels', `${count} of ${answers.length} name ${[...named]}`), ...problems] : problems
}

/** The store's own check meets only some of the slots. */
async function askCluster(address: ClusterAddress, access: RedisAccess): Promise<Finding> {
  const { ClusterMap } = await import('../../store/redis/cluster-map.js')
  const map = new ClusterMap(address, access)
  try {
    await map.firstContact
    if (!map.isKnown) {
      const { problem, fix } = map.unknown()
      return fail('cluster', problem, fix ?? 'correct redis_addr')
    }
    const away = map.away.map(({ problem, fix }) => warn('cluster', problem, fix))
    const slots = map.unservedSlots
    if (slots.length > 0)
      return warn('cluster', `no node has slots ${slots}`, 'give them to one: redis-cli --cluster fix')
    return (
      away[0] ?? ok('cluster', `${map.places.length} primaries have all slots: ${map.places.map(nameOf).join(', ')}`)
    )
  } finally {
    map.close()
  }
}

function placeOf({ primary }: Extract<SentinelAnswer, { kind: 'primary' }>): string {
  return `${primary.host}:${primary.port}`
}
