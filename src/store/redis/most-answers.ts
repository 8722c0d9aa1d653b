/**
 * The answers of several that were asked at once, of whom some may be silent: once more than half have given one that
 * counts, or all have answered; at the latest `graceMs` after the first that counts. No promise may reject.
 */
export function mostAnswers<T>(
  asked: readonly Promise<T>[],
  counts: (answer: T) => boolean,
  graceMs: number,
): Promise<readonly T[]> {
  const answers: T[] = []
  if (asked.length === 0) return Promise.resolve(answers)
  return new Promise((resolve) => {
    let grace: NodeJS.Timeout | undefined
    const enough = () => {
      clearTimeout(grace)
      resolve([...answers])
    }
    for (const one of asked) {
      void one.then((answer) => {
        answers.push(answer)
        const counting = answers.filter(counts).length
        if (counting > asked.length / 2 || answers.length === asked.length) enough()
        else if (counting > 0) grace ??= setTimeout(enough, graceMs)
      })
    }
  })
}
