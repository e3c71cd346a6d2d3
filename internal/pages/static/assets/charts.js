// Charts over time, with the figures beneath the pointer in words.

import { h, say } from './dom.js'
import { clock, day, stamp, dollars, exact, plural } from './format.js'

const pad = 10

// chart makes one. format is for the vertical axis, tell for the words of one point,
// which gets the index. Its data are [times in seconds, values].
export function chart({ label, format, tell, bars = false, height = 180, least = 0 }) {
  const caption = h('figcaption', { class: 'muted' }, label)
  const plot = h('div', { class: 'plot', role: 'img', 'aria-label': label })
  const node = h('figure', { class: 'chart' }, caption, plot)
  let drawn = null
  let data = [[], []]
  const theme = matchMedia('(prefers-color-scheme: dark)')
  const build = () => {
    drawn?.destroy()
    drawn = null
    if (plot.clientWidth > 0) drawn = new uPlot(options(plot, { format, bars, height, caption, label, tell, least }), data, plot)
  }
  const sized = new ResizeObserver(() => {
    if (!drawn) return build()
    if (drawn.width !== plot.clientWidth) drawn.setSize({ width: plot.clientWidth, height })
  })
  sized.observe(plot)
  theme.addEventListener('change', build)
  return {
    node,
    draw(next, description) {
      data = next
      plot.setAttribute('aria-label', description ?? label)
      drawn ? drawn.setData(data) : build()
    },
    close() {
      sized.disconnect()
      theme.removeEventListener('change', build)
      drawn?.destroy()
    },
  }
}

function options(plot, { format, bars, height, caption, label, tell, least }) {
  const style = getComputedStyle(plot)
  const colour = (name) => style.getPropertyValue(name).trim()
  const line = colour('--chart')
  const axis = { stroke: colour('--pico-muted-color'), font: '12px system-ui, sans-serif', ticks: { show: false }, grid: { stroke: colour('--chart-grid'), width: 1 } }
  return {
    width: plot.clientWidth, height, padding: [pad, 2 * pad, 2, 0],
    legend: { show: false },
    cursor: { y: false, drag: { x: false, y: false }, points: { show: !bars } },
    scales: { x: { time: true, range: bars ? wide : long(least) }, y: { range: (u, low, high) => [0, high > 0 ? high * 1.1 : 1] } },
    tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), 'Etc/UTC'),
    axes: [
      { ...axis, grid: { show: false }, space: 80, size: 30, values: (u, ticks) => ticks.map((t) => tick(t, ticks.at(-1) - ticks[0] < 600)) },
      { ...axis, size: 64, values: (u, ticks) => ticks.map(format) },
    ],
    series: [{}, bars
      ? { fill: line, stroke: line, width: 0, points: { show: false }, paths: uPlot.paths.bars({ size: [0.8, 32], align: 1 }) }
      : { stroke: line, width: 2, fill: colour('--chart-fill'), points: { show: false } }],
    hooks: { setCursor: [(u) => say(caption, Number.isInteger(u.cursor.idx) ? `${label}: ${tell(u.cursor.idx)}` : label)] },
  }
}

// wide leaves room for the bar of the last hour.
const wide = (u, low, high) => low === null ? [0, 1] : [low, high + (u.data[0].length > 1 ? u.data[0][1] - u.data[0][0] : 3600)]

// long shows at least so many seconds, up to the newest. It looks at the times
// themselves: around a single one uPlot would show years.
const long = (least) => (u) => {
  const times = u.data[0]
  const end = times.at(-1) ?? Date.now() / 1000
  return [Math.min(times[0] ?? end, end - least), end]
}

// tick names an instant: at midnight it is a day that begins.
const tick = (seconds, close) => {
  const at = new Date(seconds * 1000)
  if (at.getUTCHours() === 0 && at.getUTCMinutes() === 0 && at.getUTCSeconds() === 0) return day(at)
  return close ? stamp(at, { seconds: true }).slice(11) : clock(at)
}

// hourly puts rows of hours on a line without gaps: [times, charged in nano-dollars].
function hourly(list, from, to) {
  const of = new Map(list.map((row) => [Date.parse(row.hour), row]))
  const times = []
  const rows = []
  for (let at = Date.parse(from); at < Date.parse(to); at += 3_600_000) {
    times.push(at / 1000)
    rows.push(of.get(at) ?? null)
  }
  return { times, rows }
}

// spending is a chart of what was charged in each hour.
export function spending(when) {
  let hours = { times: [], rows: [] }
  const label = `Charged per hour, ${when}`
  const c = chart({
    label, bars: true, format: (v) => '$' + Number(v.toPrecision(3)),
    tell: (i) => (hours.times[i] === undefined ? '' : `${exact(charged(hours.rows[i]))} and ${plural(hours.rows[i]?.requests ?? 0, 'request')} from ${stamp(hours.times[i] * 1000)}`),
  })
  return {
    node: c.node, close: c.close,
    draw({ by_hour: list, from, to }) {
      hours = hourly(list ?? [], from, to)
      const sums = hours.rows.map(charged)
      c.draw([hours.times, sums.map((n) => n / 1e9)], `${label}: ${dollars(sums.reduce((a, b) => a + b, 0), 4)} in all, ${dollars(Math.max(0, ...sums), 4)} in the dearest hour`)
    },
  }
}

export const charged = (tally) => (tally ? tally.proven_nanousd + tally.charged_at_ceiling_nanousd : 0)
