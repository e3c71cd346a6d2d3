// Records of the audit log, as rows.

import { h, rows, table, figure } from './dom.js'
import { count, dollars, exact, milliseconds, plural, time } from './format.js'

export function records(caption) {
  const list = table(caption, ['Time', 'Who', 'What', 'Outcome', '#Tokens', '#Cost', '#Took'])
  list.node.classList.add('log')
  return list
}

export const addRecords = (list, all) => rows(list.body, all, (r) => r.seq, cells)

function cells(r) {
  return [
    h('td', { class: 'when' }, time(r.time, { seconds: true }), h('small', { class: 'muted block' }, `${r.seq}`)),
    h('td', {}, who(r)), h('td', {}, what(r)), h('td', {}, outcome(r)),
    figure(r.input_tokens || r.output_tokens ? `${count(r.input_tokens ?? 0)} + ${count(r.output_tokens ?? 0)}` : ''),
    figure(cost(r)), figure(r.took_ms === undefined ? '' : milliseconds(r.took_ms)),
  ]
}

function who(r) {
  if (r.kind === 'request') {
    return [h('a', { href: `#/users/${encodeURIComponent(r.user_key ?? r.user ?? '')}`, class: 'name' }, r.user ?? r.user_key ?? '–'),
      h('small', { class: 'muted block' }, [r.plan && `plan ${r.plan}`, r.ip].filter(Boolean).join(', '))]
  }
  if (r.kind === 'operator') return [h('span', { class: 'name' }, r.by ?? '–')]
  return [h('span', { class: 'muted' }, r.kind === 'refused' ? 'strangers' : 'the server')]
}

const kinds = { start: 'started', stop: 'stopped', lost: 'records were lost' }

function what(r) {
  switch (r.kind) {
    case 'request':
      return [h('code', {}, r.endpoint ?? ''), h('small', { class: 'muted block name' }, [r.model, r.count ? `${plural(r.count, 'request')} of that minute` : r.id].filter(Boolean).join(' · '))]
    case 'operator':
      return [h('strong', {}, r.action ?? ''), r.target && [' ', h('span', { class: 'name' }, r.target)], r.why && h('small', { class: 'muted block name' }, r.why)]
    case 'refused':
      return [plural(r.count ?? 0, 'request'), ' refused before anybody was known']
  }
  return [kinds[r.kind] ?? r.kind, r.count ? `: ${count(r.count)}` : '', r.why && h('small', { class: 'muted block name' }, r.why)]
}

const shades = { ok: 'fine', done: 'fine', refused: 'off', client_gone: 'off' }

function outcome(r) {
  const name = r.outcome ?? (r.kind === 'refused' ? 'refused' : '')
  return [
    name && h('span', { class: `state ${shades[name] ?? 'bad'}` }, name.replace('_', ' ')),
    h('small', { class: 'muted block' }, [r.status, r.code].filter(Boolean).join(' ')),
  ]
}

function cost(r) {
  const parts = []
  if (r.cost_nanousd) parts.push(h('data', { value: r.cost_nanousd, title: exact(r.cost_nanousd) }, dollars(r.cost_nanousd, 6)))
  if (r.at_ceiling_nanousd) parts.push(h('small', { class: 'muted block', title: exact(r.at_ceiling_nanousd) }, `${dollars(r.at_ceiling_nanousd, 6)} at the ceiling`))
  return parts
}
