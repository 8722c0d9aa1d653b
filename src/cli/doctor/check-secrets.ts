import { statSync } from 'node:fs'
import type { AgentConfig } from '../../config/config.js'
import { exposedSecrets } from '../../host/secrets.js'
import { platform } from '../../os/index.js'
import { type Finding, warn } from './finding.js'

const SUBJECTS = { config: 'config file', key: 'tls key file', state: 'state', store: 'store' } as const

/** Whether functions could read what is the agent's alone. */
export function checkSecrets(config: AgentConfig): Finding[] {
  const { runAs, tls } = config
  const user = runAs.kind === 'user' ? platform.findUser(runAs.name) : undefined
  return exposedSecrets(config, user)
    .filter(({ kind }) => kind !== 'key' || (tls && !othersMayRead(tls.keyFile)))
    .map(({ kind, path, fix }) => warn(SUBJECTS[kind], `functions can read ${path}`, fix))
}

/** The check of certificates tells of that already, whoever functions run as. */
function othersMayRead(file: string): boolean {
  return (statSync(file).mode & 0o077) !== 0
}
