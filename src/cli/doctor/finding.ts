/** One finding of `flux-agent doctor`. */
export interface Finding {
  readonly level: 'ok' | 'warn' | 'fail'
  /** What was checked, in a word or two. */
  readonly subject: string
  readonly message: string
  /** The fix; only where something is wrong. */
  readonly fix?: string
}

export function ok(subject: string, message: string): Finding {
  return { level: 'ok', subject, message }
}

export function warn(subject: string, message: string, fix?: string): Finding {
  return { level: 'warn', subject, message, ...(fix !== undefined && { fix }) }
}

export function fail(subject: string, message: string, fix: string): Finding {
  return { level: 'fail', subject, message, fix }
}
