import { statSync } from 'node:fs'
import type { AgentConfig } from '../../config/config.js'
import { type Exposure, exposedSecrets, secretFiles } from '../../host/secrets.js'
import { platform } from '../../os/index.js'
import { type Finding, warn } from './finding.js'

const SUBJECTS: Readonly<Record<Exposure['kind'], string>> = {
  config: 'config file',
  key: 'tls key file',
  password: 'redis password',
  headers: 'traces headers',
  state: 'state',
  store: 'store',
}

/** Checks whether functions, or others than their owners, can read the agent's secrets. */
export function checkSecrets(config: AgentConfig): Finding[] {
  const { runAs } = config
  const user = runAs.kind === 'user' ? platform.findUser(runAs.name) : undefined
  const open = secretFiles(config).flatMap(({ kind, path }) => checkOpen(SUBJECTS[kind], path))
  const exposed = exposedSecrets(config, user)
    // These are found already, one of them by checkCertificates.
    .filter(({ kind, path }) => !['key', 'password', 'headers'].includes(kind) || !othersMayRead(path))
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
