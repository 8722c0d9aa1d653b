/** What a promise comes to, or an error that names `what` it should have been in time. */
export async function withinSeconds<T>(what: string, seconds: number, promise: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`not within ${seconds} s: ${what}`)), 1000 * seconds)
  })
  return Promise.race([promise, late]).finally(() => clearTimeout(timer))
}
