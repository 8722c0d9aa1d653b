import type { SecureContextOptions } from 'node:tls'
import { ServerCredentials } from '@grpc/grpc-js'
import type { TlsConfig } from '../config/config.js'
import {
  type CertificateExpiry,
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
  /** Of the files in use; undefined without TLS. */
  readonly expiry: CertificateExpiry | undefined
  /** Makes new connections use `certificates`, read from the files of `tls`, and watches those files from now on. */
  use(tls: TlsConfig, certificates: Certificates): void
  /** Stops watching the files. */
  close(): void
}

/**
 * Credentials of a server that requires a client certificate of the configured authority, or of a server without TLS
 * where `tls` is absent. Renewed files apply to new connections within `intervalMs`, once they all match; until then
 * the old ones stay in use. `onProblem` is called with each warning and each change that cannot be used. Throws
 * TlsError where the first files cannot be used.
 */
export function serverCredentials(
  tls: TlsConfig | undefined,
  onProblem: (problem: string) => void,
  intervalMs = 2000,
): ReloadingCredentials {
  if (!tls) return { credentials: ServerCredentials.createInsecure(), expiry: undefined, use() {}, close() {} }
  const initial = loadCertificates(tls)
  const credentials = new MutualTlsCredentials(initial.context)
  let { expiry } = initial
  const take = ({ context, warnings, ...taken }: Certificates) => {
    credentials.use(context)
    expiry = taken.expiry
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
    get expiry() {
      return expiry
    },
    use(files, certificates) {
      // A running check may have read the old files.
      unwatch()
      take(certificates)
      unwatch = watch(files, certificates)
    },
    close: () => unwatch(),
  }
}

/**
 * A hang-up resets a stream. By default Node closes a connection with more than 33 resets a second, with all calls on
 * it (protection against CVE-2023-44487). Here callers are authenticated, and one of them speaks for thousands. Node
 * before 24 ignores these options.
 */
const HANG_UPS = { streamResetBurst: 100_000, streamResetRate: 10_000 }

/** A client that does not complete its handshake is dropped after this time. */
const HANDSHAKE_LIMIT_MS = 10_000

/**
 * grpc-js' certificate providers publish identity and authority one after the other, and reset every new connection
 * while a file is missing or half renewed.
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

/** Compares contents and not times, which a renewal may keep. Answers a function that stops. */
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
