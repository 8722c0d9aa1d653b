import { isIP } from 'node:net'

const MAX_PORT = 65_535

/** An address to listen on. */
export interface Endpoint {
  /** An IP address. */
  readonly host: string
  /** 0: any free one. */
  readonly port: number
}

/** Reads an IP address with a port, as in 127.0.0.1:9464 and [::1]:9464. Undefined for anything else. */
export function readEndpoint(text: string): Endpoint | undefined {
  const [, bracketed, plain = '', digits = ''] = /^(?:\[([\da-f.:]+)\]|([\d.]+)):(\d{1,5})$/i.exec(text) ?? []
  const host = bracketed ?? plain
  const port = Number(digits)
  return isIP(host) === (bracketed === undefined ? 4 : 6) && port <= MAX_PORT ? { host, port } : undefined
}

/** As in a URL. */
export function endpointText({ host, port }: Endpoint): string {
  return `${host.includes(':') ? `[${host}]` : host}:${port}`
}
