import type { X509Certificate } from 'node:crypto'
import type { AgentConfig, TlsConfig } from '../../config/config.js'
import { TLS_SERVER_NAME } from '../../proto.js'
import { type Identity, isTrusted, keyProblem, readContentsNow, readIdentity } from '../../tls/certificates.js'
import { checkOpen } from './check-secrets.js'
import { type Finding, fail, ok, warn } from './finding.js'

const DAY_MS = 86_400_000
const SOON_DAYS = 30
const SERVER_AUTH = '1.3.6.1.5.5.7.3.1'
const CLIENT_AUTH = '1.3.6.1.5.5.7.3.2'
const REISSUE = 'have a new certificate issued for this node'

/** Checks that the control plane will accept the agent's certificate, and who may call. */
export function checkCertificates({ tls }: AgentConfig): Finding[] {
  if (!tls) return []
  try {
    const identity = readIdentity(tls, readContentsNow(tls))
    return [...checkIdentity(tls, identity), ...checkValidity(identity), ...checkUsage(identity), ...checkAccess(tls)]
  } catch (error) {
    return [fail('tls', (error as Error).message, 'name PEM files in tls.ca_cert, tls.cert_file and tls.key_file')]
  }
}

function* checkIdentity(tls: TlsConfig, identity: Identity): Iterable<Finding> {
  const { certificate } = identity
  const problem = keyProblem(tls, identity)
  yield problem === undefined
    ? ok('tls key', 'belongs to the certificate')
    : fail('tls key', problem, 'put the key beside the certificate it was made for')
  yield isTrusted(identity)
    ? ok('tls ca', 'has signed the certificate')
    : fail('tls ca', 'has not signed the certificate', `${REISSUE}, or name the CA that signed it in tls.ca_cert`)
  yield certificate.checkHost(TLS_SERVER_NAME, { subject: 'never' })
    ? ok('tls name', TLS_SERVER_NAME)
    : fail('tls name', `${certificate.subjectAltName ?? 'none'}: callers expect ${TLS_SERVER_NAME}`, REISSUE)
}

function* checkValidity({ authorities, issuers, certificate }: Identity): Iterable<Finding> {
  const dated = [
    ...authorities.map((authority) => ['tls ca dates', authority] as const),
    ...[certificate, ...issuers].map((one) => ['tls dates', one] as const),
  ]
  for (const [subject, one] of dated) yield checkDates(subject, one, REISSUE)
}

/** Checks when a certificate is valid; `which` stands before the finding. */
export function checkDates(
  subject: string,
  { validFrom, validTo }: X509Certificate,
  reissue: string,
  which = '',
): Finding {
  const days = (Date.parse(validTo) - Date.now()) / DAY_MS
  if (Date.parse(validFrom) > Date.now())
    return fail(subject, `${which}not valid before ${validFrom}`, "set this machine's clock, or wait")
  if (days < 0) return fail(subject, `${which}expired on ${validTo}`, reissue)
  if (days < SOON_DAYS) return warn(subject, `${which}expires in ${Math.floor(days)} days`, reissue)
  return ok(subject, `${which}valid until ${validTo}`)
}

function* checkUsage({ certificate }: Identity): Iterable<Finding> {
  // Node's name for the extended key usage. Without one, every use is allowed.
  const usage: readonly string[] | undefined = certificate.keyUsage
  if (!usage || usage.includes(SERVER_AUTH)) yield ok('tls usage', 'server')
  else yield fail('tls usage', 'the certificate may not be used by a server', REISSUE)
  if (usage && !usage.includes(CLIENT_AUTH))
    yield warn('tls client', 'the certificate may not be used by a client', `${REISSUE} with clientAuth usage`)
}

function* checkAccess({ keyFile, allowedClients }: TlsConfig): Iterable<Finding> {
  yield* checkOpen('tls key file', keyFile)
  yield allowedClients.includes(TLS_SERVER_NAME)
    ? warn('tls callers', 'every agent may command this one', `take ${TLS_SERVER_NAME} out of tls.allowed_clients`)
    : ok('tls callers', allowedClients.join(', '))
}
