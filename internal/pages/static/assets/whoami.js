// Where am I: how this server sees whoever asks, and the TRUSTED_PROXY that fits.

import { h, table, cell, copier } from './dom.js'
import { get } from './api.js'

export default { title: 'Where am I', open }

function open(root, ctx) {
  const content = h('div', {}, h('p', { class: 'muted', 'aria-busy': 'true' }, 'Looking…'))
  root.append(h('p', { class: 'muted' }, 'The limits per address are only worth something if this server sees your users’ addresses, and not that of a proxy in front of it.'), content)
  const abort = new AbortController()
  get('whoami', {}, abort.signal).then((me) => content.replaceChildren(...show(me)), (error) => {
    content.replaceChildren(h('p', { role: 'alert', class: 'bad' }, error.message))
    if (!error.code) ctx.problem(error)
  })
  return { close: () => abort.abort() }
}

function show(me) {
  const fits = table('What TRUSTED_PROXY could be', ['Setting', 'You would count as', ''])
  fits.body.append(...me.fits.map((f) => {
    const line = `TRUSTED_PROXY=${f.trusted_proxy}`
    return h('tr', {}, h('th', { scope: 'row' }, h('code', {}, line)), cell(h('code', {}, f.address), f.in_force && h('strong', { class: 'tag fine-tag' }, 'in force')), h('td', { class: 'number' }, copier(() => line, { 'aria-label': `Copy ${line}` })))
  }))
  const headers = table('What proxies said', ['Header', 'Value'])
  headers.body.append(...Object.entries(me.headers).sort(([a], [b]) => (a < b ? -1 : 1)).flatMap(([name, values]) => values.map((v) => h('tr', {}, h('th', { scope: 'row' }, h('code', {}, name)), cell(h('code', { class: 'name' }, v))))))
  return [
    h('article', {}, h('p', { class: 'advice' }, me.advice),
      h('dl', { class: 'pairs' },
        h('dt', {}, 'you count as'), h('dd', {}, h('code', {}, me.address || 'not known')),
        h('dt', {}, 'the connection comes from'), h('dd', {}, h('code', {}, me.peer || 'the socket of this machine')),
        h('dt', {}, 'in force'), h('dd', {}, h('code', {}, `TRUSTED_PROXY=${me.trusted_proxy}`)))),
    h('article', {}, h('h2', {}, 'What fits'), me.fits.length > 0 ? fits.node : h('p', { class: 'muted' }, 'Nothing to choose from.')),
    h('article', {}, h('h2', {}, 'What proxies said'), Object.keys(me.headers).length > 0 ? headers.node : h('p', { class: 'muted' }, 'Nothing: no header of this request names an address.')),
  ]
}
