/** The agent does not start with this configuration on this machine; the message says what fixes it. */
export class StartRefused extends Error {
  override readonly name = 'StartRefused'
  readonly code = 'START_REFUSED'
}
