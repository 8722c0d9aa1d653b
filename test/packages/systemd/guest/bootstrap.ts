import { copyFileSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { credentials } from '@grpc/grpc-js'
import { Calls } from '../../../../harness/calls.js'
import { clientsTo } from '../../../support/flux-client.js'
import { run, SHARED, UNIT } from './machine.js'

const HOME = '/home/admin/flux-agent'
const DROP_INS = `/etc/systemd/system/${UNIT}.d`
const PORT = 50052

export const CONFIG_FILE = join(HOME, 'agent.yaml')

/** What Flux does on a node that has the package, word for word. */
export function bootstrap(): void {
  mkdirSync(join(HOME, 'tls'), { recursive: true })
  for (const name of ['ca', 'agent', 'agent-key']) {
    copyFileSync(join(SHARED, `${name}.pem`), join(HOME, 'tls', `${name}.pem`))
    run('chmod', '600', join(HOME, 'tls', `${name}.pem`))
  }
  configure({})
  writeDropIn('override', `[Service]\nEnvironment="AGENT_CONFIG=${CONFIG_FILE}"\n`)
  run('sh', '-c', 'systemctl daemon-reload && systemctl enable flux-agent && systemctl restart flux-agent')
}

/** Writes agent.yaml as Flux does, with these lines on top of its own. */
export function configure(
  keys: Readonly<Record<string, string | number>>,
  clients: readonly string[] = ['flux'],
): void {
  const lines = Object.entries(keys).map(([key, value]) => `${key}: ${value}\n`)
  writeFileSync(
    CONFIG_FILE,
    `agent_id: guest
port: "${PORT}"
redis_addr: embedded
network:
  node_private_ip: 127.0.0.1
  node_public_ip: 192.0.2.1
tls:
  enabled: true
  ca_cert: tls/ca.pem
  cert_file: tls/agent.pem
  key_file: tls/agent-key.pem
  allowed_clients: [${clients.join(', ')}]
${lines.join('')}`,
    { mode: 0o600 },
  )
}

/** Changes the unit as an operator does, until `removeDropIn` of the same name; both take a daemon-reload. */
export function writeDropIn(name: string, lines: string): void {
  mkdirSync(DROP_INS, { recursive: true })
  writeFileSync(join(DROP_INS, `${name}.conf`), lines)
}

export function removeDropIn(name: string): void {
  rmSync(join(DROP_INS, `${name}.conf`), { force: true })
}

/** Calls as Flux, or as another that has a certificate of its authority, over a connection that lasts as long as `use`. */
export async function calling<T>(use: (calls: Calls) => Promise<T>, caller = 'flux'): Promise<T> {
  const pem = (name: string) => readFileSync(join(SHARED, `${name}.pem`))
  const clients = clientsTo(PORT, credentials.createSsl(pem('ca'), pem(`${caller}-key`), pem(caller)))
  try {
    return await use(new Calls(clients.agent))
  } finally {
    clients.close()
  }
}
