/** A caller's place in a trace (W3C Trace Context). */
export interface TraceContext {
  /** 32 hexadecimal digits. */
  readonly traceId: string
  /** The caller's span, 16 hexadecimal digits. */
  readonly spanId: string
  /** 2 hexadecimal digits. */
  readonly flags: string
  /** Of vendors, passed on as it is. */
  readonly state?: string
}

/** Identifies the spans of one execution. */
export interface SpanIds {
  readonly traceId: string
  readonly spanId: string
  /** Of the part in which the process runs: the parent of the function's own spans. */
  readonly runId: string
  /** The caller's; absent: the trace begins here. */
  readonly parent?: TraceContext
}
