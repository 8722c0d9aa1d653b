/** The set is split into this many tables, so that growing one takes little time. */
const TABLES = 256
const FIRST_SLOTS = 16
const GROWTH = 1.5
/** A table grows once it is filled beyond this share. */
const FULLEST = 0.75

/** A set of numbers from idNumber: evenly distributed, never 0. Takes 11 to 16 bytes a number, a third of a Set. */
export class NumberSet {
  size = 0
  readonly #tables: (Float64Array | undefined)[] = new Array(TABLES)
  readonly #sizes = new Uint32Array(TABLES)

  has(number: number): boolean {
    const table = this.#tables[number % TABLES]
    return table !== undefined && table[slotOf(table, number)] === number
  }

  add(number: number): void {
    const index = number % TABLES
    let table = this.#tables[index] ?? new Float64Array(FIRST_SLOTS)
    const size = this.#sizes[index] as number
    if (size >= table.length * FULLEST) table = grown(table)
    this.#tables[index] = table
    const slot = slotOf(table, number)
    if (table[slot] === number) return
    table[slot] = number
    this.#sizes[index] = size + 1
    this.size++
  }
}

/** Where the number is, or would be put. */
function slotOf(table: Float64Array, number: number): number {
  let slot = Math.floor(number / TABLES) % table.length
  while (table[slot] !== 0 && table[slot] !== number) slot = slot + 1 === table.length ? 0 : slot + 1
  return slot
}

function grown(table: Float64Array): Float64Array {
  const larger = new Float64Array(Math.ceil(table.length * GROWTH))
  for (const number of table) if (number !== 0) larger[slotOf(larger, number)] = number
  return larger
}
