import { type ChildProcess, fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { onExit } from '../../harness/on-exit.js'

/** Starts a program of this folder; resolves with its first message, which says that it is ready. */
export async function openProcess(program: string, args: readonly string[] = []): Promise<ChildProcess> {
  const process = fork(fileURLToPath(new URL(`./${program}.js`, import.meta.url)), args)
  onExit(() => process.kill('SIGKILL'))
  await answerOf(process)
  return process
}

/** Its answer to a message. */
export function ask(process: ChildProcess, message: object): Promise<unknown> {
  const answer = answerOf(process)
  process.send(message)
  return answer
}

function answerOf(process: ChildProcess): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const died = (code: number | null) => reject(new Error(`the process that starts ended with exit code ${code}`))
    process.once('exit', died)
    process.once('message', (answer) => {
      process.off('exit', died)
      resolve(answer)
    })
  })
}
