import { statSync } from 'node:fs'
import type { AgentConfig } from '../../config/config.js'
import { type Exposure, exposedSecrets } from '../../host/secrets.js'
import { platform } from '../../os/index.js'
import { type Finding, warn } from './finding.js'

const SUBJECTS: Readonly<Record<Exposure['kind'], string>> = {
  config: 'config file',
  key: 'tls key file',
  password: 'redis password',
  state: 'state',
  store: 'store',
}

/** Checks whether functions, or others than their owners, can read the agent's secrets. */
export function checkSecrets(config: AgentConfig): Finding[] {
  const { runAs, store } = config
  const user = runAs.kind === 'user' ? platform.findUser(runAs.name) : undefined
  const { keyFile, passwordFile, sentinelPasswordFile } = (store.kind === 'redis' && store.access) || {}
  const open = [
    ...(keyFile ? checkOpen(SUBJECTS.key, keyFile) : []),
    ...(passwordFile ? checkOpen(SUBJECTS.password, passwordFile) : []),
    ...(sentinelPasswordFile ? checkOpen(SUBJECTS.password, sentinelPasswordFile) : []),
  ]
  const exposed = exposedSecrets(config, user)
    // These are found already, one of them by checkCertificates.
    .filter(({ kind, path }) => (kind !== 'key' && kind !== 'password') || !othersMayRead(path))
    .map(({ kind, path, fix }) => warn(SUBJECTS[kind], `functions can read ${path}`, fix))
  return [...exposed, ...open]
}

/** Finds a file that others than its owner may read; the configuration has been loaded, so it exists. */
export function checkOpen(subject: string, file: string): Finding[] {
  return othersMayRead(file) ? [warn(subject, `others than its owner may read ${file}`, `chmod 600 ${file}`)] : []
}

function othersMayRead(file: string): boolean {
  return process.platform !== 'win32' && (statSync(file).mode & 0o077) !== 0
}
