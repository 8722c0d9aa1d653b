import assert from 'node:assert/strict'
import { readFileSync, renameSync, writeFileSync } from 'node:fs'
import type { TestAgent } from '../../harness/agent.js'
import { eventually } from '../../harness/eventually.js'
import { linesOf } from './log-lines.js'

type Keys = Readonly<Record<string, unknown>>

/** Why nothing can be told to read its configuration again here. */
export const noReload = process.platform === 'win32' && 'Windows has no signal for it'

/** Gives the file these keys as well, as whoever edits it: nobody finds half of it. */
export function edit(configFile: string, keys: Keys): void {
  const text = JSON.stringify({ ...JSON.parse(readFileSync(configFile, 'utf8')), ...keys })
  writeFileSync(`${configFile}.new`, text)
  renameSync(`${configFile}.new`, configFile)
}

export const WARN = 40
export const ERROR = 50

/** What the agent has said since, at this level. */
export const said = (agent: TestAgent, level: number, from: number) =>
  linesOf(agent.logs().slice(from))
    .filter((line) => line.level === level)
    .map(({ msg }) => msg)

/** Lines of the log that tell of a reload that was taken over. */
export const reloads = (log: string) => linesOf(log).filter(({ msg }) => msg === 'configuration read again')

/** Has the agent read other keys, and answers what it says of those that have changed. */
export async function reload(agent: TestAgent, keys: Keys): Promise<Keys | undefined> {
  const before = reloads(agent.logs()).length
  edit(agent.configFile, keys)
  process.kill(agent.pid, 'SIGHUP')
  return eventually(
    'it has read its configuration again',
    () => reloads(agent.logs())[before]?.['changed'] as Keys | undefined,
  )
}

/** Has the agent read keys that it cannot take, and answers the errors, once there are so many. */
export async function refusedReload(agent: TestAgent, keys: Keys, errors = 1): Promise<string[]> {
  const from = agent.logs().length
  const taken = reloads(agent.logs()).length
  edit(agent.configFile, keys)
  process.kill(agent.pid, 'SIGHUP')
  await eventually('it says why not', () => said(agent, ERROR, from).length >= errors)
  assert.equal(reloads(agent.logs()).length, taken)
  return said(agent, ERROR, from)
}
