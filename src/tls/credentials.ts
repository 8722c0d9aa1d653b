import type { SecureContextOptions } from 'node:tls'
import { ServerCredentials } from '@grpc/grpc-js'
import type { TlsConfig } from '../config/config.js'
import {
  type Certificates,
  checkCertificates,
  digestOf,
  loadCertificates,
  readContents,
  type TlsContents,
  TlsError,
} from './certificates.js'

export interface ReloadingCredentials {
  readonly credentials: ServerCredentials
  /** Has new connections use `certificates`, which were read of the files of `tls`, and watches those from now on. */
  use(tls: TlsConfig, certificates: Certificates): void
  /** Stops watching the files. */
  close(): void
}

/**
 * Credentials of a server that demands a client certificate of the configured authority, or of one without TLS where
 * `tls` is absent. Renewed files come into use for new connections within `intervalMs`, once all of them fit together;
 * until then the ones in use stay. `onProblem` gets a line for each change that cannot be used or that needs a look.
 * Throws TlsError where the files cannot be used at the start.
 */
export function serverCredentials(
  tls: TlsConfig | undefined,
  onProblem: (problem: string) => void,
  intervalMs = 2000,
): ReloadingCredentials {
  if (!tls) return { credentials: ServerCredentials.createInsecure(), use() {}, close() {} }
  const initial = loadCertificates(tls)
  const credentials = new MutualTlsCredentials(initial.context)
  const take = ({ context, warnings }: Certificates) => {
    credentials.use(context)
    for (const warning of warnings) onProblem(warning)
  }
  const watch = (files: TlsConfig, { digest }: Certificates) =>
    onChange(files, digest, intervalMs, (found) => {
      try {
        if (found instanceof TlsError) throw found
        take(checkCertificates(files, found))
      } catch (error) {
        onProblem(`${(error as Error).message}; new connections go on with the certificate in use`)
      }
    })
  take(initial)
  let unwatch = watch(tls, initial)
  return {
    credentials,
    use(files, certificates) {
      // A look that is under way may have found what was there before.
      unwatch()
      take(certificates)
      unwatch = watch(files, certificates)
    },
    close: () => unwatch(),
  }
}

/**
 * Whoever hangs up resets a stream, and by default a connection is closed, with all calls on it, where more than 33 a
 * second are (a guard against strangers, CVE-2023-44487). The callers here are known, and one of them speaks for
 * thousands. Node before 24 does not know these options.
 */
const HANG_UPS = { streamResetBurst: 100_000, streamResetRate: 10_000 }

/** Who connects and says nothing, or not all of it, is not waited for any longer. */
const HANDSHAKE_LIMIT_MS = 10_000

/**
 * grpc-js has certificate providers for this, but they publish identity and authority one after the other, and a
 * missing or half-renewed file makes its own provider reset every new connection.
 */
class MutualTlsCredentials extends ServerCredentials {
  constructor(context: SecureContextOptions) {
    super({ requestCert: true, rejectUnauthorized: true, handshakeTimeout: HANDSHAKE_LIMIT_MS, ...HANG_UPS }, context)
  }

  use(context: SecureContextOptions): void {
    this.updateSecureContextOptions(context)
  }

  override _equals(other: ServerCredentials): boolean {
    return this === other
  }
}

/** Compares what the files hold and not their times: a renewal may keep those. Answers how to stop. */
function onChange(tls: TlsConfig, known: string, intervalMs: number, report: (found: TlsContents | TlsError) => void) {
  let timer: NodeJS.Timeout | undefined
  let closed = false
  let seen = known
  const look = async () => {
    const found = await readContents(tls).catch((error: TlsError) => error)
    if (closed) return
    const state = found instanceof TlsError ? found.message : digestOf(found)
    if (state !== seen) report(found)
    seen = state
    schedule()
  }
  const schedule = () => {
    timer = setTimeout(() => void look(), intervalMs).unref()
  }
  schedule()
  return () => {
    closed = true
    clearTimeout(timer)
  }
}
