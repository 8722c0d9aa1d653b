const held: Buffer[] = []

/** Makes this thread larger by so much, touched, for as long as it lives. */
export function holdMemory(megabytes: number): void {
  held.push(Buffer.alloc(megabytes * 2 ** 20, 1))
}
