// One user: what they spent, when, on what, and their last requests.

import { h, say, fill, table, figure, button } from './dom.js'
import { get } from './api.js'
import { spending, charged } from './charts.js'
import { meter, legend } from './money.js'
import { money, count, plural, standing } from './format.js'
import { records, addRecords } from './records.js'
import { disable, enable } from './switches.js'

const often = 5000 // milliseconds between two looks

export default { title: 'User', open }

function open(root, ctx) {
  const key = decoded(ctx.rest.replace(/\?.*$/s, ''))
  const view = frame(key)
  root.append(...view.nodes)
  const abort = new AbortController()
  let next = 0

  async function load() {
    next = Date.now() + often
    try {
      const u = await get(`users/${encodeURIComponent(key)}`, {}, abort.signal)
      say(ctx.heading, u.user || u.user_key)
      show(view, u, async () => (await ctx.look(), await load()))
    } catch (error) {
      if (error.name === 'AbortError') return
      view.waiting.hidden = true
      say(view.problem, error.code ? error.message : '')
      if (!error.code) ctx.problem(error)
    }
  }

  load()
  return {
    update() {
      if (Date.now() >= next) load()
    },
    close() {
      abort.abort()
      view.spend.close()
    },
  }
}

// frame is the page before its user is known.
function frame(key) {
  const problem = h('p', { role: 'alert', class: 'bad' })
  const waiting = h('p', { class: 'muted', 'aria-busy': 'true' }, 'Looking…')
  const state = h('div', { class: 'between bar' })
  const accounts = h('section', { class: 'cards two', 'aria-label': 'Money' })
  const spend = spending('the last seven days')
  const who = h('dl', { class: 'pairs' })
  const models = table('Models of the last seven days', ['Model', '#Requests', '#Tokens in', '#Tokens out', '#Charged'])
  const last = records('The last requests')
  const none = h('p', { class: 'muted' })
  const content = h('div', { hidden: true }, state, accounts,
    h('article', {}, h('h2', {}, 'Spending'), spend.node),
    h('section', { class: 'cards two' }, h('article', {}, h('h2', {}, 'Who'), who), h('article', {}, h('h2', {}, 'Models'), models.node)),
    h('article', {}, h('div', { class: 'between' }, h('h2', {}, 'Last requests'), h('a', { href: `#/log/?user=${encodeURIComponent(key)}` }, 'All in the log')), last.node, none))
  const nodes = [h('p', {}, h('a', { href: '#/users' }, '← All users')), problem, waiting, content]
  return { nodes, problem, waiting, content, state, accounts, spend, who, models, last, none }
}

function show(view, u, done) {
  say(view.problem, '')
  view.waiting.hidden = true
  view.content.hidden = false
  fill(view.state, u.stop ?? null, (stop) => [
    h('p', { class: stop ? 'bad' : 'muted' }, stop ? `Disabled ${standing(stop)}.` : 'May ask.'),
    stop ? button('Enable…', () => enable(stop, done), { class: 'small' }) : button('Disable…', () => disable(u, done), { class: 'small danger' }),
  ])
  fill(view.accounts, [u.day, u.month], ([day, month]) => [accountCard('Today', day), accountCard('This month', month)])
  view.spend.draw(u)
  fill(view.who, [u.user, u.issuer, u.user_key], () => [
    h('dt', {}, 'id'), h('dd', { class: 'name' }, u.user || '–'),
    h('dt', {}, 'issuer'), h('dd', { class: 'name' }, u.issuer || 'this server’s own secret'),
    h('dt', {}, 'pseudonym'), h('dd', { class: 'name' }, h('code', {}, u.user_key)),
  ])
  fill(view.models.body, u.by_model, (list) => list.map((r) => h('tr', {}, h('th', { scope: 'row' }, r.model ?? plural(r.others, 'other')),
    figure(count(r.requests)), figure(count(r.input_tokens)), figure(count(r.output_tokens)), figure(money(charged(r), 4)))))
  addRecords(view.last, u.records)
  view.last.node.hidden = u.records.length === 0
  say(view.none, u.records.length === 0 ? 'None in the audit log.' : '')
}

function decoded(text) {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}

// The caps of a user are those of the plan that each token names, so there is only
// what was used.
function accountCard(title, account) {
  return h('article', {}, h('h2', {}, title), h('p', { class: 'big' }, money(account.used_nanousd, 4), h('small', { class: 'muted' }, ' used')), meter(account, title), legend(account))
}
