// Settings: what is in force, and where it came from.

import { h, say, table, cell } from './dom.js'
import { get } from './api.js'
import { plural } from './format.js'

export default { title: 'Settings', open }

function open(root, ctx) {
  const search = h('input', { type: 'search', id: 'setting-search', placeholder: 'Part of a name, a value or a note', autocomplete: 'off', spellcheck: 'false' })
  const mine = h('input', { type: 'checkbox', role: 'switch' })
  const said = h('p', { role: 'status', class: 'muted' })
  const groups = h('div', { 'aria-busy': 'true' })
  root.append(
    h('div', { class: 'between bar' }, h('search', {}, h('label', { for: 'setting-search', class: 'unseen' }, 'Search settings'), search),
      h('label', { class: 'inline' }, mine, ' only what is set')), said, groups)
  let all = []

  const show = () => {
    const part = search.value.trim().toLowerCase()
    const list = all.filter((s) => (!mine.checked || s.source !== 'default') && [s.name, s.value, s.note ?? ''].some((t) => t.toLowerCase().includes(part)))
    const noted = all.filter((s) => s.note).length
    say(said, `${plural(list.length, 'setting')}${noted ? `; ${plural(noted, 'has', 'have')} a note` : ''}. They change with a restart; the value of a secret is never shown.`)
    groups.replaceChildren(...grouped(list).map(([name, settings]) => group(name, settings)))
  }
  search.addEventListener('input', show)
  mine.addEventListener('change', show)

  const abort = new AbortController()
  get('settings', {}, abort.signal).then(({ settings }) => {
    all = settings
    groups.removeAttribute('aria-busy')
    show()
  }, (error) => {
    groups.removeAttribute('aria-busy')
    if (error.code) say(said, error.message)
    else ctx.problem(error)
  })
  return { close: () => abort.abort() }
}

function grouped(list) {
  const groups = new Map()
  for (const s of list) groups.set(s.group, [...(groups.get(s.group) ?? []), s])
  return [...groups]
}

function group(name, settings) {
  const t = table(name, ['Name', 'Value', 'From'])
  t.body.append(...settings.map((s) => h('tr', { class: s.note && 'noted' },
    h('th', { scope: 'row' }, h('code', {}, s.name)),
    h('td', {}, h('span', { class: 'value' }, s.value === '' || s.value === '(not set)' ? h('span', { class: 'muted' }, '(not set)') : s.value), s.note && h('small', { class: 'block warn' }, s.note)),
    cell(h('span', { class: s.source === 'default' ? 'muted' : '' }, s.source)))))
  return h('article', {}, h('h2', {}, name), t.node)
}
