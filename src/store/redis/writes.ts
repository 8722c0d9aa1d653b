import { mergeOutputs } from '../merge-outputs.js'
import { type ExecutionRecord, RECORD_TTL_MS } from '../record.js'
import { idOf, type StoreWrite } from '../store.js'
import type { Keys } from './keys.js'
import type { RedisNodes } from './nodes.js'
import { type RedisCommand, runPipeline } from './pipeline.js'
import { BEFORE_OUTPUT, BEGIN, END, OUTPUT, REFUSE, type Script } from './scripts.js'

/** Answers of BEGIN. */
const TAKEN = 0
export const BEGUN = 1

/** See Store.write. */
export async function writeBatch(nodes: RedisNodes, batch: readonly StoreWrite[]): Promise<ReadonlySet<string>> {
  const taken = new Set<string>()
  for (const { begins, others } of roundsOf(batch)) {
    // Their answers decide which other writes are sent. There are begins only after an outage.
    const answers =
      begins.length > 0
        ? await runPipeline(
            nodes,
            begins.map((record) => beginCommand(nodes.keys, record)),
          )
        : []
    for (const [index, { execution_id: id }] of begins.entries()) {
      if (answers[index] === TAKEN) taken.add(id)
      else taken.delete(id)
    }
    const writes = others.filter((write) => !taken.has(idOf(write)))
    if (writes.length > 0)
      await runPipeline(
        nodes,
        mergeOutputs(writes).flatMap((write) => commandsOf(nodes, write)),
      )
  }
  return taken
}

export const beginCommand = (keys: Keys, record: ExecutionRecord) =>
  scriptCommand(BEGIN, keys, record, [
    `"agent_id":${JSON.stringify(record.agent_id)}`,
    `"started_at":${JSON.stringify(record.started_at)}`,
  ])

export const refuseCommand = (keys: Keys, record: ExecutionRecord) => scriptCommand(REFUSE, keys, record, [])

export const endCommand = (keys: Keys, record: ExecutionRecord) =>
  scriptCommand(END, keys, record, [record.output_bytes ?? 0])

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

function commandsOf({ keys, spread }: RedisNodes, write: StoreWrite): RedisCommand[] {
  switch (write.kind) {
    case 'begin':
      return [beginCommand(keys, write.record)]
    case 'output': {
      const { id, offset, bytes } = write
      const [output, range] = [keys.output(id), [offset, offset + bytes.length]]
      if (spread) return [{ script: OUTPUT, keys: [output, keys.gaps(id)], args: [...range, bytes] }]
      return [
        { script: BEFORE_OUTPUT, keys: [output, keys.gaps(id)], args: range },
        { name: 'setrange', keys: [output], args: [offset, bytes] },
      ]
    }
    case 'end':
      return [endCommand(keys, write.record)]
  }
}

function scriptCommand(
  script: Script,
  keys: Keys,
  record: ExecutionRecord,
  args: readonly (string | number)[],
): RedisCommand {
  const { execution_id: id, agent_id: agentId } = record
  return {
    script,
    keys: [keys.record(id), keys.output(id), keys.gaps(id), keys.running(agentId, id)],
    args: [JSON.stringify(record), RECORD_TTL_MS, id, ...args],
  }
}
