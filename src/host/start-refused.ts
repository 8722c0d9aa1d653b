/** The agent refuses to start with this configuration on this machine. The message names the fix. */
export class StartRefused extends Error {
  override readonly name = 'StartRefused'
  readonly code = 'START_REFUSED'
}
