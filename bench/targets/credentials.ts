import { join } from 'node:path'
import { makeTempDir } from '../../harness/agent.js'
import { makeCertificates, writeAgentFiles } from '../../harness/certificates.js'
import type { TargetTls } from './target.js'

/** Paths of PEM files for mTLS, as Flux gives them to an agent and has them itself. */
export interface Credentials {
  readonly agent: TargetTls
  readonly client: TargetTls
}

export async function makeCredentials(): Promise<Credentials> {
  const dir = makeTempDir('flux-bench-tls-')
  const { authority, agent, flux } = await makeCertificates()
  const write = (name: string, identity: typeof agent): TargetTls => {
    const { caCert, certFile, keyFile } = writeAgentFiles(join(dir, name), authority, identity)
    return { ca: caCert, cert: certFile, key: keyFile }
  }
  return { agent: write('agent', agent), client: write('client', flux) }
}
