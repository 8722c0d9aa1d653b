import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { buffer } from 'node:stream/consumers'
import type { Calls } from '../../harness/calls.js'

/** The HTTP side of a control plane: what is PUT to /deploy/NAME is deployed as it came, whatever it is. */
export class UploadFront {
  private constructor(private readonly server: Server) {}

  static async start(calls: () => Calls): Promise<UploadFront> {
    const server = createServer(async (request, response) => {
      const name = request.url?.split('/').at(-1) ?? ''
      const { success, message } = await calls().deploy(name, await buffer(request))
      response.writeHead(success ? 200 : 400).end(message)
    })
    server.listen(0, '127.0.0.1').unref()
    await once(server, 'listening')
    return new UploadFront(server)
  }

  /** Uploads as a browser's form does: one part, `file`. */
  async upload(name: string, archive: Buffer): Promise<{ readonly ok: boolean; readonly message: string }> {
    const form = new FormData()
    form.set('file', new File([archive], 'function.zip', { type: 'application/zip' }))
    const { port } = this.server.address() as AddressInfo
    const response = await fetch(`http://127.0.0.1:${port}/deploy/${name}`, { method: 'PUT', body: form })
    return { ok: response.ok, message: await response.text() }
  }

  close(): void {
    this.server.close()
    this.server.closeAllConnections()
  }
}
