import type { AnsweredRecord } from '../../harness/calls.js'
import { wholeOutput } from './functions.js'
import type { DeployAttempt, History, Track } from './history.js'

const VERSION = /^version (\S+)\n/
const MARK = /\n\[flux-agent: (\d+) bytes of output lost\]\n/g

/** Compares what GetExecution or FollowOutput, asked then, shows with what may be, and with what was shown before. */
export function checkShown(history: History, track: Track, record: AnsweredRecord, askedAt: number): void {
  // It never began, and its id is free.
  if (record.refused) return
  const { status, error = '', output = '' } = record
  const succeeded = status === 'success'
  const problem = outputProblem(history, track, output, succeeded)
  if (problem) history.violate('wrong output', `${problem}; status ${status}`, track.id)
  if (status === 'running') {
    if (track.final && track.final.at < askedAt && !forgotten(history, track))
      history.violate('a final status changed', `${track.final.status}, then running`, track.id)
    return
  }
  const shown = { status, error, output, at: performance.now() }
  if (track.final === undefined) track.final = shown
  else if (track.final.status !== status || track.final.error !== error)
    history.violate(
      'a final status changed',
      `${track.final.status} (${track.final.error}), then ${status} (${error})`,
      track.id,
    )
  else if (track.final.output !== output && !forgotten(history, track))
    history.violate('a final output changed', `${track.final.output.length} bytes, then ${output.length}`, track.id)
}

/** Whether the store has lost what it knew since the execution was first sent. */
export const forgotten = (history: History, { sentAt }: Track) => history.touched(sentAt, Infinity, 'Redis forgets')

/** What is wrong with an output; one of an execution that was interrupted may end early. */
export function outputProblem(history: History, track: Track, output: string, whole: boolean): string | undefined {
  if (output.includes('\0')) return 'NUL bytes'
  const lost = [...output.matchAll(MARK)]
  const kept = output.replace(MARK, (_, bytes: string) => '\u0001'.repeat(Number(bytes)))
  const version = VERSION.exec(kept)?.[1]
  if (lost.length > 0 && !forgotten(history, track)) return `${lost[0]?.[1]} bytes lost, though no store forgot them`
  const expected = version === undefined ? undefined : wholeOutput(track.shape, track.id, version)
  if (expected === undefined) {
    if (lost.length > 0 || (!whole && 'version '.startsWith(kept.slice(0, 8)))) return undefined
    return `begins with ${JSON.stringify(kept.slice(0, 60))}`
  }
  if (whole && kept.length !== expected.length) return `${kept.length} bytes instead of ${expected.length}`
  for (let at = 0; at < kept.length; at++) {
    if (kept[at] === expected[at] || kept[at] === '\u0001') continue
    return `at ${at}: ${JSON.stringify(kept.slice(at, at + 60))} instead of ${JSON.stringify(expected.slice(at, at + 60))}`
  }
  return versionProblem(history, track, version as string)
}

function versionProblem(history: History, { functionName, sentAt }: Track, version: string): string | undefined {
  const ofFunction = history.deploys.filter((deploy) => deploy.functionName === functionName)
  const deploy = ofFunction.find((candidate) => candidate.version === version)
  if (!deploy) return `version ${version} was never deployed`
  if (deploy.outcome === 'refused') return `version ${version} was refused`
  const newer = supersededBy(ofFunction, deploy, sentAt)
  return newer && `version ${version}, though ${newer.version} was deployed after it`
}

/** A later deploy that was acked before then, which began when this one had ended. */
export function supersededBy(
  deploys: readonly DeployAttempt[],
  deploy: DeployAttempt,
  before: number,
): DeployAttempt | undefined {
  return deploys.find(
    ({ outcome, beganAt, endedAt }) => outcome === 'acked' && beganAt > deploy.endedAt && endedAt < before,
  )
}
