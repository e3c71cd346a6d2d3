// Now: the money, the traffic, what works and what does not.

import { h, say, fill, table, figure, button } from './dom.js'
import { get } from './api.js'
import { chart, spending, charged } from './charts.js'
import { meter, legend } from './money.js'
import { money, count, plural, milliseconds, stamp, standing, span } from './format.js'
import { enable } from './switches.js'
import { alertsCard } from './alerts.js'

const remembered = 300 // looks: ten minutes
const booksEvery = 30_000 // milliseconds between two questions about the hours, which take longer to count

export default { title: 'Now', open }

function open(root, ctx) {
  const trouble = h('section', { 'aria-label': 'What is wrong', class: 'notices' })
  const empty = h('section', { class: 'notices' })
  const accounts = h('section', { class: 'cards two', 'aria-label': 'Money' })
  const tiles = h('dl', { class: 'tiles' })
  const alerts = alertsCard(ctx)
  const refusals = table('Refusals by reason', ['Reason', '#Requests'])
  const models = table('Models of the last 24 hours', ['Model', '#Requests', '#Tokens in', '#Tokens out', '#Charged'])
  const none = { refusals: h('p', { class: 'muted' }), models: h('p', { class: 'muted' }) }
  const works = h('dl', { class: 'pairs' })
  const stopped = h('div')
  const rate = rateChart()
  const spend = spending('the last 24 hours')
  root.append(trouble, empty, accounts, tiles,
    h('section', { class: 'cards two' },
      card('Requests', rate.node), card('Spending', spend.node)),
    h('section', { class: 'cards two' },
      card('Refused, by reason', refusals.node, none.refusals), card('Models, the last 24 hours', models.node, none.models)),
    h('section', { class: 'cards two' }, card('What works', works), card('Stopped', stopped)),
    alerts.node)

  const books = booksOf(ctx, (day) => {
    spend.draw(day)
    showModels(models, none.models, day.by_model)
  })
  return {
    update(o) {
      showTrouble(trouble, o)
      showEmpty(empty, o)
      fill(accounts, [o.day, o.month, o.pace], ([day, month, pace]) => [accountCard('Today', day), accountCard('This month', month, pace, o.at)])
      showTiles(tiles, o)
      rate.add(o)
      showRefusals(refusals, none.refusals, o.traffic.refusals)
      showWorks(works, o)
      showStopped(stopped, o.stopped, ctx)
      alerts.update(o)
      books.update()
    },
    close() {
      rate.close()
      spend.close()
      books.close()
    },
  }
}

const card = (title, ...children) => h('article', {}, h('h2', {}, title), children)

function showTrouble(node, o) {
  fill(node, o.degraded, (list) => (list.length === 0
    ? h('p', { class: 'notice fine' }, 'Everything works.')
    : h('ul', { class: 'notice-list' }, list.map((text) => h('li', { class: 'notice bad-notice' }, text)))))
}

function showEmpty(node, o) {
  const nobody = o.month.requests === 0 && o.month.used_nanousd === 0
  fill(node, nobody, () => nobody && h('p', { class: 'notice' }, 'Nobody has asked anything yet this month. What is asked from now on moves these figures.'))
}

function accountCard(title, account, pace, at) {
  return card(`${title}`, h('p', { class: 'big' }, money(account.used_nanousd, 4), h('small', { class: 'muted' }, account.cap_nanousd === null ? ' used, no cap' : [' of ', money(account.cap_nanousd)])),
    meter(account, title), legend(account),
    h('p', {}, account.left_nanousd === null ? '' : [money(account.left_nanousd, 4), ` left until ${stamp(account.end)}.`], pace && paceText(pace, account, at)))
}

function paceText(pace, account, at) {
  const words = [' At this pace, ', money(pace.per_day_nanousd, 4), ' a day and ', money(pace.month_nanousd), ' in the whole month']
  if (!pace.cap_used_up) return [words, account.cap_nanousd === null ? '.' : ': the cap is enough.']
  return [words, Date.parse(pace.cap_used_up) > Date.parse(at) ? [': the cap is ', h('strong', {}, `used up on ${stamp(pace.cap_used_up)}`), '.'] : ': the cap is used up.']
}

function showTiles(node, o) {
  const t = o.traffic
  const of = (name) => t.requests[name] ?? 0
  const list = [
    ['Answered', count(of('ok')), `since ${stamp(o.since)}`],
    ['Refused', count(of('refused')), 'by a rule, and told why'],
    ['Failed', count(of('failed')), 'not the caller’s fault'],
    ['Hung up', count(of('client_gone')), 'before the end of the answer'],
    ['Under way', count(t.in_flight), `${plural(t.streams, 'stream')} among them`],
    ['Added time', t.added_latency.count > 0 ? milliseconds(t.added_latency.p50_ms) : '–', t.added_latency.count > 0 ? `95 %: ${milliseconds(t.added_latency.p95_ms)}, 99 %: ${milliseconds(t.added_latency.p99_ms)}` : 'nothing was measured yet'],
  ]
  if (node.children.length === 0) node.append(...list.map(([name]) => h('div', {}, h('dt', {}, name), h('dd', { class: 'big' }), h('dd', { class: 'muted' }))))
  list.forEach(([, value, note], i) => {
    say(node.children[i].children[1], value)
    say(node.children[i].children[2], note)
  })
}

// rateChart shows what was asked in the last minutes, from look to look.
function rateChart() {
  const times = []
  const rates = []
  let last = null
  const c = chart({
    label: 'Requests a second, since this page is open', least: 120, format: (v) => (v < 10 ? String(Math.round(v * 100) / 100) : count(v)),
    tell: (i) => (times[i] === undefined ? '' : `${rates[i].toFixed(1)} at ${stamp(times[i] * 1000, { seconds: true }).slice(11)}`),
  })
  return {
    node: c.node, close: c.close,
    add(o) {
      const at = Date.parse(o.at) / 1000
      const total = Object.values(o.traffic.requests).reduce((a, b) => a + b, 0)
      const before = last
      if (before && at <= before.at) return
      last = { at, total, since: o.since }
      if (!before || before.since !== o.since) return // the server was started anew, and counts anew
      times.push(at)
      rates.push(Math.max(0, total - before.total) / (at - before.at))
      if (times.length > remembered) times.shift(), rates.shift()
      c.draw([[...times], [...rates]], `Requests a second: ${rates.at(-1).toFixed(1)} now, ${Math.max(...rates).toFixed(1)} at most since this page is open`)
    },
  }
}

// booksOf asks for what takes longer to count, now and then.
function booksOf(ctx, shown) {
  const abort = new AbortController()
  let next = 0
  return {
    async update() {
      if (Date.now() < next) return
      next = Date.now() + booksEvery
      try {
        shown(await get('usage?since=24h&by=hour&by=model&top=8', {}, abort.signal)) // one reading of the books for both
      } catch (error) {
        next = Date.now() + 5000
        ctx.problem(error)
      }
    },
    close: () => abort.abort(),
  }
}

function showModels(t, none, list) {
  const rows = list ?? []
  say(none, rows.length === 0 ? 'None.' : '')
  t.node.hidden = rows.length === 0
  fill(t.body, rows, () => rows.map((r) => h('tr', {}, h('th', { scope: 'row' }, r.model ?? plural(r.others, 'other')),
    figure(count(r.requests)), figure(count(r.input_tokens)), figure(count(r.output_tokens)), figure(money(charged(r), 4)))))
}

function showRefusals(t, none, refusals) {
  const list = Object.entries(refusals).sort((a, b) => b[1] - a[1])
  say(none, list.length === 0 ? 'None since the start.' : '')
  t.node.hidden = list.length === 0
  fill(t.body, list, () => list.map(([code, n]) => h('tr', {}, h('th', { scope: 'row' }, h('code', {}, code)), figure(count(n)))))
}

const breakers = { closed: 'answers', open: 'fails, and is left alone for a moment', half_open: 'failed, and is being tried again', off: 'is asked whatever it answers: the breaker is off' }

function showWorks(node, o) {
  const healthy = (health) => (health.ok ? ['fine', 'works'] : ['bad', health.why || 'does not work'])
  const states = {}
  for (const k of o.keys) states[k.state] = (states[k.state] ?? 0) + 1
  const usable = (states.active ?? 0) + (states.standby ?? 0) > 0
  const list = [
    ['Ledger', ...healthy(o.ledger)],
    ['Audit log', ...healthy(o.audit)],
    ['OpenAI', o.breaker === 'closed' || o.breaker === 'off' ? 'fine' : 'bad', breakers[o.breaker.replace('-', '_')] ?? o.breaker],
    ['Keys', usable && !states.quarantined ? 'fine' : 'bad', Object.entries(states).map(([state, n]) => `${count(n)} ${state}`).join(', ') || 'none'],
    ['Running', 'fine', `for ${span(Date.parse(o.at) - Date.parse(o.since))}`],
  ]
  fill(node, list, () => list.map(([name, state, text]) => [h('dt', {}, name), h('dd', { class: `state ${state}` }, text)]))
}

function showStopped(node, list, ctx) {
  fill(node, list, () => (list.length === 0
    ? h('p', { class: 'muted' }, 'Nobody and nothing.')
    : h('ul', { class: 'plain' }, list.filter((s) => !s.everything).map((s) => h('li', { class: 'between' },
      h('span', {}, s.model ? ['the model ', h('code', {}, s.model)] : h('a', { href: `#/users/${encodeURIComponent(s.user_key)}`, class: 'name' }, s.user || s.user_key),
        h('small', { class: 'muted block' }, standing(s))),
      button('Enable…', () => enable(s, ctx.look), { class: 'small quiet' }))), list.some((s) => s.everything) && h('li', {}, 'Everything.'))))
}
