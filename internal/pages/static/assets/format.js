// How amounts, numbers and times are written.

import { h } from './dom.js'

// dollars writes whole nano-dollars with so many places, without a float on the way.
// What is more than nothing is never written as nothing.
export function dollars(nano, places = 2) {
  if (!Number.isSafeInteger(nano)) return '–'
  const n = BigInt(Math.abs(nano))
  let kept = rounded(n, places)
  while (n > 0n && kept === 0n && places < 9) kept = rounded(n, ++places)
  const digits = kept.toString().padStart(places + 1, '0')
  const whole = digits.slice(0, digits.length - places)
  const part = places > 0 ? '.' + digits.slice(-places) : ''
  return (nano < 0 ? '−$' : '$') + grouped(whole) + part
}

function rounded(n, places) {
  const unit = 10n ** BigInt(9 - places)
  return (n + unit / 2n) / unit
}

const grouped = (digits) => digits.replace(/\B(?=(\d{3})+$)/g, ',')

// exact is all of an amount.
export const exact = (nano) => dollars(nano, 9).replace(/(\.\d\d\d*?)0+$/, '$1')

// money is an amount to look at, with all of it for machines and behind the pointer.
export const money = (nano, places) =>
  Number.isSafeInteger(nano) ? h('data', { value: nano, title: exact(nano) }, dollars(nano, places)) : '–'

export const count = (n) => (Number.isFinite(n) ? grouped(String(Math.trunc(n))) : '–')

// brief is a number for a small place: 1.2k, 3.4M.
export function brief(n) {
  for (const [size, unit] of [[1e12, 'T'], [1e9, 'G'], [1e6, 'M'], [1e4, 'k']]) {
    if (n >= size) return (n / (unit === 'k' ? 1e3 : size)).toFixed(1) + unit
  }
  return count(n)
}

export const plural = (n, one, many = one + 's') => `${count(n)} ${n === 1 ? one : many}`

export function milliseconds(ms) {
  if (!Number.isFinite(ms)) return '–'
  if (ms < 10) return `${ms.toFixed(ms < 1 ? 2 : 1)} ms`
  return ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(ms < 10_000 ? 2 : 1)} s`
}

const two = (n) => String(n).padStart(2, '0')

// Times are UTC's, as the windows of the budgets and the server's log are.
export function stamp(text, { seconds = false } = {}) {
  const t = new Date(text)
  if (Number.isNaN(t.getTime())) return '–'
  const day = `${t.getUTCFullYear()}-${two(t.getUTCMonth() + 1)}-${two(t.getUTCDate())}`
  return `${day} ${two(t.getUTCHours())}:${two(t.getUTCMinutes())}${seconds ? ':' + two(t.getUTCSeconds()) : ''}`
}

// clock is a time within a day.
export const clock = (text) => stamp(text).slice(11)

const months = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec']
export function day(text) {
  const t = new Date(text)
  return Number.isNaN(t.getTime()) ? '–' : `${t.getUTCDate()} ${months[t.getUTCMonth()]}`
}

// time is an instant to look at; behind the pointer it is where the reader is.
export const time = (text, options) =>
  text ? h('time', { datetime: text, title: new Date(text).toString() }, stamp(text, options)) : '–'

const spans = [[86_400_000, 'day'], [3_600_000, 'hour'], [60_000, 'minute'], [1000, 'second']]

// span is a length of time in words, with at most two units.
export function span(ms) {
  const words = []
  let rest = Math.abs(ms)
  for (const [size, unit] of spans) {
    const n = Math.floor(rest / size)
    rest -= n * size
    if (n > 0) words.push(plural(n, unit))
    if (words.length === 2 || (words.length === 1 && n === 0)) break
  }
  return words.join(' ') || 'a moment'
}

export const ago = (text, now = Date.now()) => (text ? `${span(now - Date.parse(text))} ago` : 'never')

// standing says since when somebody is stopped, until when, by whom and why.
export const standing = (stop) => [
  `since ${stamp(stop.since)}`, stop.until && `until ${stamp(stop.until)}`, stop.by && `by ${stop.by}`,
].filter(Boolean).join(' ') + (stop.why ? `: ${stop.why}` : '')
