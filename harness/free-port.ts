import { randomInt } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:net'

/** Below the ports that systems give to outgoing connections, of which tests make thousands, and above those of services. */
const [FIRST, END] = [10_000, 32_768]

/** A free port of the loopback; another program may still take it. */
export async function freePort(): Promise<number> {
  for (;;) {
    const probe = createServer().listen(randomInt(FIRST, END), '127.0.0.1')
    try {
      await once(probe, 'listening')
    } catch (error) {
      // Windows keeps some for itself.
      if (['EADDRINUSE', 'EACCES'].includes((error as NodeJS.ErrnoException).code ?? '')) continue
      throw error
    }
    const { port } = probe.address() as { readonly port: number }
    probe.close()
    await once(probe, 'close')
    return port
  }
}
