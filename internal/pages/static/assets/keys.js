// Keys: OpenAI's keys by their fingerprints, whether they are due for rotation, and
// what OpenAI's own books say.

import { h, say, rows, table, cell, button } from './dom.js'
import { get, post } from './api.js'
import { money, plural, span, time, ago, stamp, day } from './format.js'

export default { title: 'Keys', open }

function open(root, ctx) {
  const list = table('OpenAI’s keys', ['Fingerprint', 'State', 'From', 'Since', 'Rotation', 'Last used'])
  const said = h('p', { role: 'status' })
  const none = h('p', { class: 'muted' })
  const books = h('div')
  const reload = button('Read again', async () => {
    say(said, 'Reading the keys where they come from…')
    try {
      await post('keys/reload')
      say(said, 'Read again.')
      await ctx.look()
    } catch (error) {
      say(said, error.message)
      if (!error.code) ctx.problem(error)
    }
  }, { class: 'small quiet' })
  root.append(
    h('article', {}, h('div', { class: 'between' }, h('h2', {}, 'OpenAI’s keys'), reload), said, list.node, none),
    guide(ctx), h('article', {}, h('h2', {}, 'OpenAI’s own books'), books))

  const abort = new AbortController()
  get('reconcile', {}, abort.signal).then(({ last }) => showBooks(books, last), (error) => error.code ? say(books, error.message) : ctx.problem(error))
  return {
    update(o) {
      rows(list.body, o.keys, (k) => k.fingerprint, (k) => cells(k, ctx.config.key_age_ms))
      list.node.hidden = o.keys.length === 0
      say(none, o.keys.length === 0 ? 'There is no key.' : '')
    },
    close: () => abort.abort(),
  }
}

const states = { active: 'fine', standby: 'idle', quarantined: 'bad' }

function cells(k, keyAge) {
  return [
    h('th', { scope: 'row' }, h('code', {}, k.fingerprint)),
    h('td', {}, h('span', { class: `state ${states[k.state] ?? 'bad'}` }, k.state),
      k.quarantined_at && h('small', { class: 'muted block' }, 'since ', time(k.quarantined_at)), k.why && h('small', { class: 'muted block' }, k.why)),
    cell(h('span', { class: 'name' }, k.source)),
    cell(k.since ? [time(k.since), h('small', { class: 'muted block' }, ago(k.since))] : 'not known'),
    cell(due(k, keyAge)),
    cell(k.last_used ? time(k.last_used, { seconds: true }) : 'never'),
  ]
}

function due(k, keyAge) {
  if (!k.since) return h('span', { class: 'muted' }, 'its age is not known')
  const rest = Date.parse(k.since) + keyAge - Date.now()
  return rest > 0 ? `due in ${span(rest)}` : h('strong', { class: 'bad' }, `overdue for ${span(rest)}`)
}

function guide(ctx) {
  const days = Math.round(ctx.config.key_age_ms / 86_400_000)
  return h('article', {}, h('h2', {}, 'How to rotate'),
    h('p', { class: 'muted' }, `Every ${plural(days, 'day')}, and at once when a key may have leaked. The command `, h('code', {}, 'keyshield rotate'), ' walks through the same steps.'),
    h('ol', {},
      h('li', {}, 'Make a new key in OpenAI’s project, with no more rights than the old one.'),
      h('li', {}, 'Put it where the others are: first in the file of ', h('code', {}, 'OPENAI_API_KEY_FILE'), ' or in the secret manager, the old one after it. If the keys are in the environment, change it and restart.'),
      h('li', {}, 'Press ', h('strong', {}, 'Read again'), '. The new key is tried before it takes over; calls under way end with the old one.'),
      h('li', {}, 'Wait until the table above shows the new key as active and the old one as not used any more.'),
      h('li', {}, 'Delete the old key at OpenAI, then remove it here and press ', h('strong', {}, 'Read again'), '.')),
    h('p', { class: 'muted' }, 'If it leaked, delete it at OpenAI first: the next key takes over by itself.'))
}

function showBooks(node, last) {
  if (!last) {
    node.append(h('p', { class: 'muted' }, 'They were not compared with ours yet. ', h('code', {}, 'keyshield reconcile'), ' does it, apart from this server: when OpenAI counts more than went through here, the key is used elsewhere.'))
    return
  }
  const agrees = last.verdict === 'agrees'
  node.append(
    h('p', {}, h('span', { class: `state ${agrees ? 'fine' : 'bad'}` }, agrees ? 'agree with ours' : 'key used elsewhere'),
      agrees ? '' : [' for ', money(last.elsewhere_nanousd, 4), '. Treat the key as leaked: rotate it.']),
    h('dl', { class: 'pairs' },
      h('dt', {}, 'compared'), h('dd', {}, `${stamp(last.at)}${last.by ? ` by ${last.by}` : ''}`),
      h('dt', {}, 'from'), h('dd', {}, stamp(last.from)), h('dt', {}, 'until'), h('dd', {}, stamp(last.to)),
      h('dt', {}, 'theirs'), h('dd', {}, money(last.theirs_nanousd, 4)), h('dt', {}, 'ours'), h('dd', {}, money(last.ours_nanousd, 4)),
      h('dt', {}, 'may differ by'), h('dd', {}, money(last.tolerance_nanousd, 4))))
}
