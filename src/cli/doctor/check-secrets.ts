import { statSync } from 'node:fs'
import type { AgentConfig } from '../../config/config.js'
import { exposedSecrets } from '../../host/secrets.js'
import { platform } from '../../os/index.js'
import { type Finding, warn } from './finding.js'

const SUBJECTS = { config: 'config file', key: 'tls key file', state: 'state', store: 'store' } as const

/** Checks whether functions can read the agent's secrets. */
export function checkSecrets(config: AgentConfig): Finding[] {
  const { runAs, tls } = config
  const user = runAs.kind === 'user' ? platform.findUser(runAs.name) : undefined
  return exposedSecrets(config, user)
    .filter(({ kind }) => kind !== 'key' || (tls && !othersMayRead(tls.keyFile)))
    .map(({ kind, path, fix }) => warn(SUBJECTS[kind], `functions can read ${path}`, fix))
}

/** checkCertificates reports that already. */
function othersMayRead(file: string): boolean {
  return (statSync(file).mode & 0o077) !== 0
}
