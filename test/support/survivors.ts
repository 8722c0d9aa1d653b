import assert from 'node:assert/strict'
import { existsSync, mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { AnsweredRecord, Calls } from '../../harness/calls.js'

/** Executions that write down each of their processes, so that one which ran twice shows. */
export class Survivors {
  private readonly marks: string
  private readonly expected = new Map<string, Expected>()

  constructor(dir: string) {
    this.marks = join(dir, 'marks')
    mkdirSync(this.marks)
  }

  /** Deploys what they run. */
  async deploy(calls: Calls): Promise<void> {
    const env = { MARKS: this.marks }
    const begin = 'echo $$ >> "$MARKS/$FLUX_EXECUTION_ID"\n'
    const lines = 'i=0; while [ $i -lt $1 ]; do echo "line $i"; i=$((i+1)); sleep $2; done; exit $3'
    await calls.script('lines', begin + lines, { env })
    await calls.script('flood', `${begin}seq 1 $1; sleep $2; seq 1 $1`, { env })
    await calls.script('silent', `${begin}sleep $1; exit $2`, { env })
    await calls.script('parent', `${begin}setsid sleep 600 & echo $! >> "$MARKS/grandchildren"; sleep $1; echo done`, {
      env,
    })
    await calls.script('late', `${begin}echo begun; exec sleep 600`, { env, timeout_seconds: 4 })
  }

  async lines(calls: Calls, count: number, every: number, code: number): Promise<string> {
    const output = Array.from({ length: count }, (_, i) => `line ${i}\n`).join('')
    return this.expect(await calls.start('lines', [count, every, code].map(String)), { output, exit: code })
  }

  /** Prints numbers to `last`, twice. */
  async flood(calls: Calls, last: number, seconds: number): Promise<string> {
    const half = Array.from({ length: last }, (_, i) => `${i + 1}\n`).join('')
    return this.expect(await calls.start('flood', [String(last), String(seconds)]), { output: half + half, exit: 0 })
  }

  async silent(calls: Calls, seconds: number, code: number): Promise<string> {
    return this.expect(await calls.start('silent', [String(seconds), String(code)]), { output: '', exit: code })
  }

  async parent(calls: Calls, seconds: number): Promise<string> {
    return this.expect(await calls.start('parent', [String(seconds)]), { output: 'done\n', exit: 0 })
  }

  /** It times out after 4 s. */
  async late(calls: Calls): Promise<string> {
    return this.expect(await calls.start('late'), { output: 'begun\n', error: 'execution timed out after 4s' })
  }

  /** It was cancelled: its output may end anywhere. */
  cancelled(id: string): void {
    this.expected.set(id, { error: 'execution cancelled' })
  }

  get ids(): string[] {
    return [...this.expected.keys()]
  }

  /** The leader's pids, one for each time it ran. */
  pidsOf(id: string): number[] {
    const mark = join(this.marks, id)
    return existsSync(mark) ? readFileSync(mark, 'utf8').trim().split('\n').map(Number) : []
  }

  grandchildren(): number[] {
    return this.pidsOf('grandchildren')
  }

  /** Ended as it should have, once, with its output byte for byte. */
  check({ execution_id: id, ...record }: AnsweredRecord): void {
    const { output, exit, error } = this.expected.get(id) as Expected
    const told = JSON.stringify({ ...record, output: record.output?.length })
    if (exit !== undefined) assert.equal(record.exit_code, exit, told)
    if (error !== undefined) assert.equal(record.error, error, told)
    if (output !== undefined && record.output !== output && (output !== '' || record.output !== undefined)) {
      const at = [...output].findIndex((character, i) => record.output?.[i] !== character)
      assert.fail(`${id}: ${record.output?.length} of ${output.length} characters, other from ${at} on; ${told}`)
    }
    assert.equal(this.pidsOf(id).length, 1, `${id} ran as ${this.pidsOf(id)}`)
  }

  private expect(id: string, expected: Expected): string {
    this.expected.set(id, expected)
    return id
  }
}

interface Expected {
  readonly output?: string
  readonly exit?: number
  readonly error?: string
}
