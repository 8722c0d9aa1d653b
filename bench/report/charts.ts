import type { CustomSeriesRenderItem } from 'echarts'
import { BarChart, CustomChart, LineChart } from 'echarts/charts'
import { GridComponent, MarkLineComponent } from 'echarts/components'
import { type EChartsCoreOption, init, use } from 'echarts/core'
import { SVGRenderer } from 'echarts/renderers'
import type { Distribution, Ratio } from './results.js'

use([BarChart, CustomChart, LineChart, GridComponent, MarkLineComponent, SVGRenderer])

/** Narrow, so that texts stay readable when a phone scales it down. */
const WIDTH = 420
const CURVE_HEIGHT = 300
const ROW_HEIGHT = 52
const LABEL_WIDTH = 140

const TEXT = { color: 'var(--muted)', fontSize: 13 }
const GRID_LINE = { show: true, lineStyle: { color: 'var(--grid)' } }
const AXIS_LINE = { show: true, lineStyle: { color: 'var(--axis)' } }

/** The style sheet has this many `--series-N`, from 1, for light and dark. */
const COLOURS = 8

/** In CSS, of a chart's nth series, from 0. */
export function seriesLine(index: number): { color: string; type: 'solid' | 'dashed' } {
  return { color: `var(--series-${(index % COLOURS) + 1})`, type: index < COLOURS ? 'solid' : 'dashed' }
}

/** One line for each distribution: percentiles to the right, the tail as wide as the middle; both axes logarithmic. */
export function curveChart(series: readonly Distribution[]): string {
  const most = Math.max(100, ...series.map(({ samples }) => samples))
  const nines = powersOfTen(1, most).filter((oneOf) => oneOf <= most)
  const all = series.flatMap(({ points }) => points.map(({ ms }) => ms))
  const milliseconds = steps(Math.min(...all), Math.max(...all))
  return render(CURVE_HEIGHT, {
    grid: { left: 50, right: 26, top: 30, bottom: 44 },
    xAxis: {
      type: 'log',
      name: 'percentile',
      nameLocation: 'middle',
      nameGap: 28,
      nameTextStyle: TEXT,
      min: 1,
      max: most,
      ...axis([1, 2, ...nines.slice(1)], percentileAt),
    },
    yAxis: {
      type: 'log',
      name: 'milliseconds',
      nameTextStyle: { ...TEXT, align: 'left', padding: [0, 0, 0, -44] },
      min: milliseconds[0],
      max: milliseconds.at(-1),
      ...axis(milliseconds, String),
    },
    series: series.map(({ samples, points }, i) => ({
      type: 'line',
      silent: true,
      symbol: 'none',
      lineStyle: seriesLine(i),
      // Nothing is above the slowest sample: it is drawn where the share above it would be one sample.
      data: points.map(({ percentile, ms }) => [Math.min(samples, 100 / (100 - percentile)), ms]),
    })),
  })
}

/** Medians as bars from 0, with whiskers from lowest to highest, and a line at 1. */
export function ratioChart(rows: readonly Ratio[], against: string): string {
  return render(rows.length * ROW_HEIGHT + 66, {
    // The browser's font may be wider than the measured one.
    grid: { left: 1.2 * LABEL_WIDTH + 8, right: 26, top: 22, bottom: 44 },
    xAxis: {
      type: 'value',
      name: `ratio to ${against}`,
      nameLocation: 'middle',
      nameGap: 28,
      min: 0,
      max: 1.1 * Math.max(1, ...rows.map(({ max }) => max)),
      axisLabel: { ...TEXT, showMaxLabel: false },
      nameTextStyle: TEXT,
      splitLine: { ...GRID_LINE, showMaxLine: false },
      splitNumber: 4,
    },
    yAxis: {
      type: 'category',
      inverse: true,
      data: rows.map(
        ({ label, median, min, max }) => `${label}\n${showRatio(median)} (${showRatio(min)} … ${showRatio(max)})`,
      ),
      axisLabel: {
        ...TEXT,
        color: 'var(--ink)',
        lineHeight: 16,
        width: LABEL_WIDTH,
        overflow: 'break',
        interval: 0,
      },
      axisLine: AXIS_LINE,
      axisTick: { show: false },
    },
    series: [
      {
        type: 'bar',
        silent: true,
        color: seriesLine(0).color,
        barWidth: '45%',
        data: rows.map(({ median }) => median),
        markLine: {
          silent: true,
          symbol: 'none',
          data: [{ xAxis: 1 }],
          lineStyle: { color: 'var(--ink)', type: 'solid', width: 1.5 },
          label: { ...TEXT, color: 'var(--ink)', position: 'start', formatter: '1.0' },
        },
      },
      { type: 'custom', silent: true, data: rows.map(({ min, max }, i) => [min, max, i]), renderItem: whisker, z: 3 },
    ],
  })
}

const whisker: CustomSeriesRenderItem = (_, api) => {
  const row = api.value(2)
  const [from, y] = api.coord([api.value(0), row]) as [number, number]
  const [to] = api.coord([api.value(1), row]) as [number, number]
  const line = (x1: number, y1: number, x2: number, y2: number) => ({
    type: 'line' as const,
    shape: { x1, y1, x2, y2 },
    style: { stroke: 'var(--ink)', lineWidth: 1.5 },
  })
  return {
    type: 'group',
    children: [line(from, y, to, y), line(from, y - 5, from, y + 5), line(to, y - 5, to, y + 5)],
  }
}

function axis(values: readonly number[], show: (value: number) => string) {
  return {
    axisLabel: { ...TEXT, customValues: values, formatter: show },
    axisTick: { show: false },
    axisLine: AXIS_LINE,
    splitLine: GRID_LINE,
  }
}

/** 10 is the 90th percentile: one of ten is above it. */
function percentileAt(oneOf: number): string {
  return String(Number((100 - 100 / oneOf).toFixed(6)))
}

function showRatio(ratio: number): string {
  return ratio.toFixed(ratio < 10 ? 3 : 1)
}

/** Ticks from at or below the lowest value to at or above the highest. */
function powersOfTen(lowest: number, highest: number): number[] {
  const first = Math.floor(Math.log10(lowest))
  const last = Math.ceil(Math.log10(highest))
  return Array.from({ length: last - first + 1 }, (_, i) => Number(`1e${first + i}`))
}

/** Ticks 1, 2, 5, 10, 20 …, or closer where these are too few; only as many as the range needs. */
function steps(lowest: number, highest: number): number[] {
  const digits = highest / lowest < 5 ? [1, 2, 3, 4, 5, 7] : [1, 2, 5]
  const all = powersOfTen(lowest, highest).flatMap((power) => digits.map((n) => Number((n * power).toPrecision(1))))
  const first = all.findLastIndex((step) => step <= lowest)
  const last = all.findIndex((step) => step >= highest && step > (all[first] as number))
  return all.slice(first, last + 1)
}

function render(height: number, option: EChartsCoreOption): string {
  const chart = init(null, null, { renderer: 'svg', ssr: true, width: WIDTH, height })
  try {
    chart.setOption({ animation: false, textStyle: { fontFamily: 'system-ui, sans-serif' }, ...option })
    return chart.renderToSVGString()
  } finally {
    chart.dispose()
  }
}
