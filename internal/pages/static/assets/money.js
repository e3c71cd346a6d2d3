// An account as a bar: what is spent, what is charged without proof, and what calls
// under way hold.

import { h } from './dom.js'
import { dollars, money, plural, count, brief } from './format.js'

const parts = [
  ['proven_nanousd', 'spent', 'spent'],
  ['charged_at_ceiling_nanousd', 'ceiling', 'charged at the ceiling'],
  ['seeded_nanousd', 'seeded', 'from OpenAI’s own books'],
  ['open_nanousd', 'open', 'held by calls under way'],
]

// meter is the bar itself. Without a cap there is none: it would always be full.
export function meter(account, name) {
  const whole = account.cap_nanousd
  if (whole === null) return null
  const bar = h('div', { class: 'meter', role: 'img', 'aria-label': `${name}: ${sentence(account)}` })
  for (const [member, kind] of parts) {
    const n = account[member] ?? 0
    if (n <= 0 || whole <= 0) continue
    const part = h('span', { class: `part ${kind}` })
    part.style.width = `${Math.min(100, (n / whole) * 100)}%`
    bar.append(part)
  }
  return bar
}

const sentence = (a) => `${dollars(a.used_nanousd)} of ${dollars(a.cap_nanousd)} used`

// legend lists the parts that there are, and what was asked.
export function legend(account) {
  const list = parts.filter(([member]) => (account[member] ?? 0) > 0)
  return [
    h('ul', { class: 'legend' }, list.map(([member, kind, text]) => h('li', {}, h('span', { class: `key ${kind}` }), money(account[member], 4), ` ${text}`))),
    h('p', { class: 'muted' }, `${plural(account.requests, 'request')} ended${account.unproven > 0 ? `, ${count(account.unproven)} without proof of their cost` : ''}; `,
      h('span', { title: count(account.input_tokens) }, brief(account.input_tokens)), ' tokens in, ',
      h('span', { title: count(account.output_tokens) }, brief(account.output_tokens)), ' out.'),
  ]
}
