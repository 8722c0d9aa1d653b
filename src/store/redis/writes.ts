import type { Redis } from 'ioredis'
import { mergeOutputs } from '../merge-outputs.js'
import { type ExecutionRecord, RECORD_TTL_MS } from '../record.js'
import { idOf, type StoreWrite } from '../store.js'
import { type RedisCommand, runPipeline } from './pipeline.js'
import { BEFORE_OUTPUT, BEGIN, END, outputKey, REFUSE, recordKey, runningKey, type Script } from './scripts.js'

/** Answers of BEGIN. */
const TAKEN = 0
export const BEGUN = 1

/** See Store.write. */
export async function writeBatch(redis: Redis, batch: readonly StoreWrite[]): Promise<ReadonlySet<string>> {
  const taken = new Set<string>()
  for (const { begins, others } of roundsOf(batch)) {
    // Their answers decide which other writes are sent. There are begins only after an outage.
    const answers = begins.length > 0 ? await runPipeline(redis, begins.map(beginCommand)) : []
    for (const [index, { execution_id: id }] of begins.entries()) {
      if (answers[index] === TAKEN) taken.add(id)
      else taken.delete(id)
    }
    const writes = others.filter((write) => !taken.has(idOf(write)))
    if (writes.length > 0) await runPipeline(redis, mergeOutputs(writes).flatMap(commandsOf))
  }
  return taken
}

export const beginCommand = (record: ExecutionRecord) =>
  scriptCommand(BEGIN, record, [
    `"agent_id":${JSON.stringify(record.agent_id)}`,
    `"started_at":${JSON.stringify(record.started_at)}`,
  ])

export const refuseCommand = (record: ExecutionRecord) => scriptCommand(REFUSE, record, [])

export const endCommand = (record: ExecutionRecord) => scriptCommand(END, record, [record.output_bytes ?? 0])

interface Round {
  readonly begins: ExecutionRecord[]
  readonly others: Exclude<StoreWrite, { kind: 'begin' }>[]
}

/** Splits a batch into rounds whose begins may all be sent first. */
function roundsOf(batch: readonly StoreWrite[]): Round[] {
  let round: Round = { begins: [], others: [] }
  const rounds = [round]
  for (const write of batch) {
    if (write.kind !== 'begin') {
      round.others.push(write)
      continue
    }
    if (round.others.some((other) => idOf(other) === write.record.execution_id)) {
      round = { begins: [], others: [] }
      rounds.push(round)
    }
    round.begins.push(write.record)
  }
  return rounds
}

function commandsOf(write: StoreWrite): RedisCommand[] {
  switch (write.kind) {
    case 'begin':
      return [beginCommand(write.record)]
    case 'output': {
      const keys = [outputKey(write.id)]
      return [
        { script: BEFORE_OUTPUT, keys, args: [write.offset, write.offset + write.bytes.length] },
        { name: 'setrange', keys, args: [write.offset, write.bytes] },
      ]
    }
    case 'end':
      return [endCommand(write.record)]
  }
}

function scriptCommand(script: Script, record: ExecutionRecord, args: readonly (string | number)[]): RedisCommand {
  const id = record.execution_id
  return {
    script,
    keys: [recordKey(id), outputKey(id), runningKey(record.agent_id)],
    args: [JSON.stringify(record), RECORD_TTL_MS, id, ...args],
  }
}
