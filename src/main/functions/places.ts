/** Limits how many callers are inside at once; others wait in order of arrival. */
export class Places {
  private readonly waiting: (() => void)[] = []

  constructor(private free: number) {}

  async enter(): Promise<void> {
    if (this.free > 0) this.free--
    else await new Promise<void>((resolve) => this.waiting.push(resolve))
  }

  leave(): void {
    const next = this.waiting.shift()
    if (next) next()
    else this.free++
  }
}
