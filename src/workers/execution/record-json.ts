import { setImmediate as nextTurn } from 'node:timers/promises'
import { lostMark } from '../../store/gaps.js'
import type { ExecutionRecord } from '../../store/record.js'
import { Lost } from './output.js'
import { leftOutMark } from './output-cap.js'

/** The largest answer of GetExecution, below the message limit of 50 MiB. */
export const ANSWER_MAX_BYTES = 50 * 1024 * 1024 - 65_536

/** An output that is read from its start to its end. */
export interface ReadableOutput {
  readonly length: number
  /** Empty only at or beyond the end. */
  read(offset: number): Promise<Buffer | Lost>
}

interface Part {
  readonly json: Buffer
  readonly sourceBytes: number
}

/**
 * The execution record as JSON with its output as text, in at most `max` bytes: of a longer output the first and last
 * part, with a mark between them. Lost output becomes a mark as well. Invalid UTF-8 becomes U+FFFD. Yields to the event
 * loop between steps.
 */
export async function recordJson(
  record: ExecutionRecord,
  output: ReadableOutput,
  max = ANSWER_MAX_BYTES,
): Promise<Buffer> {
  const fields = JSON.stringify(record)
  const text = await outputText(output, max - Buffer.byteLength(fields) - 128)
  if (text.length === 0) return Buffer.from(fields)
  return Buffer.concat([Buffer.from(`${fields.slice(0, -1)},"output":"`), ...text, Buffer.from('"}')])
}

/** The output as the inside of a JSON string, in parts. */
async function outputText(output: ReadableOutput, max: number): Promise<Buffer[]> {
  const half = Math.floor(max / 2)
  const first: Part[] = []
  const last: Part[] = []
  let firstBytes = 0
  let lastBytes = 0
  let leftOut = 0
  for await (const part of jsonParts(output)) {
    if (last.length === 0 && leftOut === 0 && firstBytes + part.json.length <= half) {
      first.push(part)
      firstBytes += part.json.length
      continue
    }
    last.push(part)
    lastBytes += part.json.length
    while (lastBytes > half) {
      const dropped = last.shift() as Part
      lastBytes -= dropped.json.length
      leftOut += dropped.sourceBytes
    }
  }
  const mark = leftOut > 0 ? [jsonInside(leftOutMark(leftOut).toString())] : []
  return [...first.map(({ json }) => json), ...mark, ...last.map(({ json }) => json)]
}

async function* jsonParts(output: ReadableOutput): AsyncGenerator<Part> {
  const decoder = new TextDecoder('utf-8', { ignoreBOM: true })
  const end = output.length
  for (let offset = 0; offset < end; ) {
    const read = await output.read(offset)
    if (read instanceof Lost) {
      const text = decoder.decode() + lostMark(read.bytes)
      yield { json: jsonInside(text), sourceBytes: read.bytes }
      offset += read.bytes
      continue
    }
    const bytes = read.subarray(0, end - offset)
    if (bytes.length === 0) break
    offset += bytes.length
    yield { json: jsonInside(decoder.decode(bytes, { stream: true })), sourceBytes: bytes.length }
    await nextTurn()
  }
  const rest = decoder.decode()
  if (rest) yield { json: jsonInside(rest), sourceBytes: 0 }
}

function jsonInside(text: string): Buffer {
  return Buffer.from(JSON.stringify(text).slice(1, -1))
}
