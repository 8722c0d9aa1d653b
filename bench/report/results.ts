import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { z } from 'zod'

/** The folder of results: a JSON file for each bench, and the page of all. */
export const RESULTS = fileURLToPath(new URL('../../../bench/results/', import.meta.url))

const column = z.object({
  title: z.string(),
  /** Of a number, after the point; 0 where absent. */
  digits: z.number().optional(),
  /** For texts: left-aligned, with this width. */
  width: z.number().optional(),
})

const cell = z.union([z.string(), z.number()]).optional()

const table = z.object({
  title: z.string(),
  columns: z.array(column),
  /** By the titles of the columns. */
  rows: z.array(z.record(z.string(), cell)),
})

/** A latency distribution; the value at percentile 100 is the slowest of all samples. */
const distribution = z.object({
  label: z.string(),
  samples: z.number().positive(),
  points: z.array(z.object({ percentile: z.number(), ms: z.number() })),
})

const ratio = z.object({ label: z.string(), median: z.number(), min: z.number(), max: z.number() })

const results = z.object({
  bench: z.string(),
  about: z.string(),
  /** RFC 3339. */
  begun: z.string(),
  seconds: z.number(),
  machine: z.object({
    node: z.string(),
    kernel: z.string(),
    arch: z.string(),
    cpu: z.string(),
    cores: z.number(),
    load_before: z.array(z.number()),
    load_after: z.array(z.number()),
  }),
  /** Why it could not be measured here. */
  skipped: z.string().optional(),
  curves: z.array(z.object({ title: z.string(), series: z.array(distribution) })),
  /** `against` is what 1.0 stands for. */
  ratios: z.array(z.object({ title: z.string(), against: z.string(), rows: z.array(ratio) })),
  tables: z.array(table),
})

export type Column = Readonly<z.infer<typeof column>>
export type Cell = string | number | undefined
export type Distribution = Readonly<z.infer<typeof distribution>>
export type Ratio = Readonly<z.infer<typeof ratio>>
export type Results = z.infer<typeof results>

/** Formats a value for its column, for the terminal and the page. */
export function showCell(cell: Cell, { digits = 0 }: Column): string {
  if (cell === undefined) return '-'
  return typeof cell === 'string' ? cell : cell.toFixed(digits)
}

/** All that a folder has, in the order it was measured in. */
export function readResults(folder: string): Results[] {
  return readdirSync(folder)
    .filter((name) => name.endsWith('.json'))
    .map((name) => parse(join(folder, name)))
    .sort((a, b) => a.begun.localeCompare(b.begun))
}

function parse(file: string): Results {
  try {
    return results.parse(JSON.parse(readFileSync(file, 'utf8')))
  } catch (cause) {
    throw new Error(`${file} is not what these benches write: run its bench again, or remove it`, { cause })
  }
}
