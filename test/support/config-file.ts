import { writeFileSync } from 'node:fs'
import { join } from 'node:path'

/** Writes an agent.yaml for an agent of this process; answers its path. */
export function configFileOf(dir: string, keys: object): string {
  const file = join(dir, 'agent.yaml')
  const own = { agent_id: 'test', host: '127.0.0.1', port: 0, redis_addr: 'embedded', run_as: 'self', workers: 1 }
  const folders = { state_dir: join(dir, 'state'), network: { node_public_ip: '192.0.2.1' } }
  // JSON is YAML.
  writeFileSync(file, JSON.stringify({ ...own, ...folders, ...keys }))
  return file
}
