import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { arch, availableParallelism, cpus, loadavg, release } from 'node:os'
import { fileURLToPath } from 'node:url'

const RESULTS = fileURLToPath(new URL('../../bench/results/', import.meta.url))

export interface Column {
  readonly title: string
  /** Of a number, after the point; 0 where absent. */
  readonly digits?: number
  /** Of texts: they stand to the left, in so many characters. */
  readonly width?: number
}

export type Cell = string | number | undefined

/** Prints rows as they come, one below the other. */
export interface Table {
  row(...cells: readonly Cell[]): void
}

interface KeptTable {
  readonly title: string
  readonly columns: readonly string[]
  readonly rows: (readonly Cell[])[]
}

/** What a bench tells: at once on the terminal, at the end with all digits as JSON. */
export class Report {
  private readonly tables: KeptTable[] = []
  private readonly begun = new Date()
  private readonly loadBefore = loadavg()
  private skipped: string | undefined

  private readonly file: string

  constructor(private readonly name: string) {
    mkdirSync(RESULTS, { recursive: true })
    this.file = `${RESULTS}${name}.json`
    // Of a bench that fails nothing is left that looks like its results.
    rmSync(this.file, { force: true })
  }

  table(title: string, columns: readonly Column[]): Table {
    const kept: KeptTable = { title, columns: columns.map((column) => column.title), rows: [] }
    this.tables.push(kept)
    const widths = columns.map(({ title, width }) => Math.max(width ?? 8, title.length))
    const print = (texts: readonly string[]) => {
      const padded = texts.map((text, i) => {
        const width = widths[i] as number
        return columns[i]?.width === undefined ? text.padStart(width) : text.padEnd(width)
      })
      console.log(`  ${padded.join('  ').trimEnd()}`)
    }
    console.log(`\n  ${title}`)
    print(columns.map((column) => column.title))
    return {
      row: (...cells) => {
        kept.rows.push(cells)
        print(cells.map((cell, i) => show(cell, columns[i]?.digits ?? 0)))
      },
    }
  }

  /** It cannot be measured here. */
  skip(why: string): void {
    this.skipped = why
    console.log(`  skipped: ${why}`)
  }

  /** Answers the file's path. */
  write(): string {
    const { name, file, begun, skipped, tables } = this
    const machine = {
      node: process.version,
      kernel: release(),
      arch: arch(),
      cpu: cpus()[0]?.model,
      cores: availableParallelism(),
      load_before: this.loadBefore,
      load_after: loadavg(),
    }
    const results = {
      bench: name,
      begun: begun.toISOString(),
      seconds: (Date.now() - begun.getTime()) / 1000,
      machine,
      ...(skipped && { skipped }),
      tables: tables.map(({ title, columns, rows }) => ({
        title,
        rows: rows.map((cells) => Object.fromEntries(cells.map((cell, i) => [columns[i] as string, cell]))),
      })),
    }
    writeFileSync(file, `${JSON.stringify(results, null, 2)}\n`)
    return file
  }
}

function show(cell: Cell, digits: number): string {
  if (cell === undefined) return '-'
  return typeof cell === 'string' ? cell : cell.toFixed(digits)
}
