import { isIP } from 'node:net'

/**
 * The address from which `url` sees this node: a service that answers with the caller's address, as plain text. Undefined
 * where it gives no such answer before `signal` aborts. Never rejects.
 */
export async function findPublicIp(url: string, signal: AbortSignal): Promise<string | undefined> {
  try {
    const response = await fetch(url, { signal })
    const answer = (await response.text()).trim()
    return response.ok && isIP(answer) > 0 ? answer : undefined
  } catch {
    return undefined
  }
}
