import { spawn } from 'node:child_process'
import { once } from 'node:events'

// Starts /bin/true by child_process, one at a time, with its output captured, until told to stop.

process.on('message', async ({ durationMs }: { durationMs: number }) => {
  const begun = performance.now()
  let starts = 0
  for (; performance.now() - begun < durationMs; starts++) await startOne()
  process.send?.((starts / (performance.now() - begun)) * 1000)
})
process.send?.('ready')

async function startOne(): Promise<void> {
  const child = spawn('/bin/true', { stdio: ['ignore', 'pipe', 'pipe'] })
  const output: Buffer[] = []
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => output.push(chunk))
  const [code] = await once(child, 'close')
  if (code !== 0 || output.length > 0)
    throw new Error(`/bin/true ended with ${code} and ${output.length} chunks of output`)
}
