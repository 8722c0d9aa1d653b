const held: Buffer[] = []

/** Allocates and touches memory that this thread holds while it lives. */
export function holdMemory(megabytes: number): void {
  held.push(Buffer.alloc(megabytes * 2 ** 20, 1))
}
