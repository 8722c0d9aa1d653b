import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { arch, availableParallelism, cpus, loadavg, release } from 'node:os'
import { join } from 'node:path'
import { clearLine, cursorTo } from 'node:readline'
import type { Histogram } from 'hdr-histogram-js'
import { distribution } from './distribution.js'
import { type Cell, type Column, type Ratio, type Results, showCell } from './results.js'

/** Prints rows as they come, one below the other. */
export interface Table {
  row(...cells: readonly Cell[]): void
}

/** A bench's results: printed at once, and written as JSON with all digits at the end. */
export class Report {
  private readonly tables: Results['tables'] = []
  private readonly curves: Results['curves'] = []
  private readonly ratioCharts: Results['ratios'] = []
  private readonly begun = new Date()
  private readonly loadBefore = loadavg()
  private readonly file: string
  private skipped: string | undefined

  constructor(
    folder: string,
    private readonly bench: string,
    private readonly about: string,
  ) {
    mkdirSync(folder, { recursive: true })
    this.file = join(folder, `${bench}.json`)
    // A failed bench leaves nothing that looks like results.
    rmSync(this.file, { force: true })
  }

  table(title: string, columns: readonly Column[]): Table {
    const rows: Record<string, Cell>[] = []
    this.tables.push({ title, columns: [...columns], rows })
    const widths = columns.map(({ title, width }) => Math.max(width ?? 8, title.length))
    const print = (texts: readonly string[]) => {
      const padded = columns.map(({ width }, i) => {
        const [text, to] = [texts[i] as string, widths[i] as number]
        return width === undefined ? text.padStart(to) : text.padEnd(to)
      })
      say(padded.join('  ').trimEnd())
    }
    say('')
    say(title)
    print(columns.map((column) => column.title))
    return {
      row: (...cells) => {
        rows.push(Object.fromEntries(columns.map(({ title }, i) => [title, cells[i]])))
        print(columns.map((column, i) => showCell(cells[i], column)))
      },
    }
  }

  /** Latency distributions for one chart of the page, from histograms in microseconds. */
  curve(title: string, series: readonly { readonly label: string; readonly histogram: Histogram }[]): void {
    this.curves.push({ title, series: series.map(({ label, histogram }) => distribution(label, histogram)) })
  }

  /** Bars for one chart of the page; `against` is what 1.0 stands for, as in `the floor`. */
  ratios(title: string, rows: readonly Ratio[], against: string): void {
    this.ratioCharts.push({ title, against, rows: [...rows] })
  }

  /** Shows progress on a terminal, until the next output; nothing elsewhere. */
  progress(doing: string): void {
    if (!process.stdout.isTTY) return
    clearProgress()
    // A longer line would wrap, and its first part stay.
    process.stdout.write(`  ${doing} …`.slice(0, process.stdout.columns - 1))
  }

  /** It cannot be measured here. */
  skip(why: string): void {
    this.skipped = why
    say(`skipped: ${why}`)
  }

  /** Answers the file's path. */
  write(): string {
    clearProgress()
    const { file, bench, about, begun, skipped, curves, ratioCharts, tables } = this
    const results: Results = {
      bench,
      about,
      begun: begun.toISOString(),
      seconds: (Date.now() - begun.getTime()) / 1000,
      machine: {
        node: process.version,
        kernel: release(),
        arch: arch(),
        cpu: cpus()[0]?.model ?? 'unknown',
        cores: availableParallelism(),
        load_before: this.loadBefore,
        load_after: loadavg(),
      },
      skipped,
      curves,
      ratios: ratioCharts,
      tables,
    }
    writeFileSync(file, `${JSON.stringify(results, null, 2)}\n`)
    return file
  }
}

function say(line: string): void {
  clearProgress()
  console.log(line && `  ${line}`)
}

function clearProgress(): void {
  if (!process.stdout.isTTY) return
  cursorTo(process.stdout, 0)
  clearLine(process.stdout, 0)
}
