import { type ServiceError, status } from '@grpc/grpc-js'

/** Ends the command with one line on stderr and an exit code. */
export class CommandFailure extends Error {
  override readonly name = 'CommandFailure'
  constructor(
    message: string,
    readonly exitCode = 1,
  ) {
    super(message)
  }
}

/** Whether a call ended with a gRPC status. */
export function isServiceError(error: unknown): error is ServiceError {
  return error instanceof Error && 'details' in error && 'code' in error && typeof error.code === 'number'
}

/** Explains a gRPC status to the user, with the fix if there is one. */
export function explain(error: ServiceError, address: string): string {
  switch (error.code) {
    case status.UNAVAILABLE:
      if (error.details.startsWith('Name resolution failed')) {
        return `no machine is known here by the name in ${address}: correct the address, or the DNS`
      }
      if (!isOutOfReach(error)) return `the agent at ${address} is unavailable: ${error.details}`
      return (
        `no agent answers at ${address} (${reason(error.details)}): ` +
        'start one by `flux-agent start`, or look at `systemctl status flux-agent`; --address and --config say where it is'
      )
    case status.DEADLINE_EXCEEDED:
      return `the agent at ${address} did not answer in time`
    case status.PERMISSION_DENIED:
    case status.UNAUTHENTICATED:
      return (
        `the agent at ${address} does not take commands from this certificate: ` +
        "pass --cert and --key of a client named in the agent's tls.allowed_clients"
      )
    case status.UNIMPLEMENTED:
      return `what answers at ${address} does not know this command: is it a flux-agent of this version?`
    default:
      return `the agent at ${address} answered ${status[error.code]}: ${error.details}`
  }
}

// A stopping agent, or one without its store, answers the same status; only grpc-js' words differ.
function isOutOfReach({ details }: ServiceError): boolean {
  return /^(No connection established|Connection dropped|.*\bE[A-Z]{4,}\b)/.test(details)
}

function reason(details: string): string {
  const words = /Last error: (?:Error: )?(.*?)\.?( Resolution note.*)?$/s.exec(details)?.[1] ?? details
  const line = words.trim().split('\n')[0]
  return line && line !== 'undefined' ? line : 'no connection'
}
