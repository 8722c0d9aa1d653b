import type { Histogram } from '../../threads/histogram.js'

const LOOK_MS = 200

/** Measures how late timers of this thread are, seconds. Answers a function that ends that. */
export function watchDelay(delay: Histogram): () => void {
  let due = performance.now() + LOOK_MS
  let timer: NodeJS.Timeout
  const look = () => {
    const now = performance.now()
    delay.observe(Math.max(0, now - due) / 1000)
    due = now + LOOK_MS
    timer = setTimeout(look, LOOK_MS).unref()
  }
  timer = setTimeout(look, LOOK_MS).unref()
  return () => clearTimeout(timer)
}
