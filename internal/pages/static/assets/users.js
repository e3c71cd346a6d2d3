// Users: who spent what. The server searches, sorts and pages, so that a hundred
// thousand are no more than fifty here.

import { h, say, rows, table, figure, button } from './dom.js'
import { get } from './api.js'
import { count, money } from './format.js'
import { disable, disableNamed, enable } from './switches.js'

const page = 50
const pause = 250 // milliseconds after the last key
const often = 5000 // milliseconds between two looks at the list

const columns = [
  { name: 'User', sort: 'id' },
  { name: 'Today', sort: 'used_day', number: true },
  { name: 'This month', sort: 'used_month', number: true },
  { name: 'Requests today', sort: 'requests_day', number: true },
  { name: 'Requests this month', sort: 'requests_month', number: true },
]

export default { title: 'Users', open }

// frame is the page before there is anybody on it.
function frame(query, act) {
  const search = h('input', { type: 'search', id: 'user-search', value: query.search, placeholder: 'Part of an id, or a pseudonym', autocomplete: 'off', spellcheck: 'false', maxlength: 256 })
  const said = h('p', { role: 'status', class: 'muted' })
  const problem = h('p', { role: 'alert', class: 'bad' })
  const heads = columns.map((c) => head(c, query, act.order))
  const list = table('Users', [...heads.map((x) => x.node), h('th', { scope: 'col' }, h('span', { class: 'unseen' }, 'State'))])
  const before = button('Previous', () => act.turn(-page), { class: 'small quiet' })
  const after = button('Next', () => act.turn(page), { class: 'small quiet' })
  list.node.setAttribute('aria-busy', 'true')
  const nodes = [
    h('div', { class: 'between bar' },
      h('search', {}, h('label', { for: 'user-search', class: 'unseen' }, 'Search users'), search),
      button('Disable by name…', () => disableNamed(act.load), { class: 'small quiet' })),
    problem, list.node,
    h('nav', { class: 'between', 'aria-label': 'Pages of users' }, said, h('div', { class: 'actions' }, before, after)),
  ]
  return { nodes, search, said, problem, heads, list, before, after }
}

function open(root, ctx) {
  const query = queryOf(ctx.rest)
  const view = frame(query, { order, turn, load: () => load() })
  let timer = 0
  let next = 0
  let abort = new AbortController()
  let closed = false
  root.append(...view.nodes)
  view.search.addEventListener('input', () => {
    clearTimeout(timer)
    timer = setTimeout(() => change({ search: view.search.value.trim(), offset: 0 }), pause)
  })

  function order(sort) {
    change({ sort, desc: query.sort === sort ? !query.desc : sort !== 'id', offset: 0 })
  }

  function turn(by) {
    return change({ offset: Math.max(0, query.offset + by) })
  }

  // change is kept in the address, so that a reload and the back button find it.
  function change(parts) {
    Object.assign(query, parts)
    history.replaceState(null, '', addressOf(query))
    view.heads.forEach((x) => x.mark(query))
    return load()
  }

  async function load() {
    abort.abort()
    abort = new AbortController()
    next = Date.now() + often
    try {
      const answer = await get('users', { ...query, desc: String(query.desc), limit: page }, abort.signal)
      if (answer.users.length === 0 && answer.total > 0 && query.offset > 0) return change({ offset: 0 })
      showUsers(view, query, answer, async () => (await ctx.look(), await load()))
    } catch (error) {
      if (closed || error.name === 'AbortError') return
      view.list.node.removeAttribute('aria-busy')
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
      closed = true
      clearTimeout(timer)
      abort.abort()
    },
  }
}

function showUsers({ list, problem, said, before, after }, query, { users, total, offset }, done) {
  list.node.removeAttribute('aria-busy')
  say(problem, '')
  rows(list.body, users, (u) => u.user_key, (u) => cells(u, done))
  list.node.hidden = total === 0
  say(said, total > 0
    ? `${count(offset + 1)} to ${count(offset + users.length)} of ${count(total)}`
    : query.search ? `Nobody matches “${query.search}”.` : 'Nobody has asked anything this month. Whoever does appears here.')
  before.hidden = after.hidden = total <= page
  before.disabled = offset === 0
  after.disabled = offset + users.length >= total
}

function queryOf(rest) {
  const q = new URLSearchParams(rest.replace(/^\?/, ''))
  const sort = columns.some((c) => c.sort === q.get('sort')) ? q.get('sort') : 'used_month'
  const offset = Number.parseInt(q.get('offset') ?? '0', 10)
  return { search: q.get('search') ?? '', sort, desc: q.get('desc') !== 'false', offset: offset > 0 ? offset : 0 }
}

function addressOf(query) {
  return '#/users/?' + new URLSearchParams({ search: query.search, sort: query.sort, desc: query.desc, offset: query.offset })
}

function head(column, query, order) {
  const control = h('button', { type: 'button', class: 'sort' }, column.name)
  const node = h('th', { scope: 'col', class: column.number && 'number' }, control)
  const mark = (q) => {
    if (q.sort === column.sort) node.setAttribute('aria-sort', q.desc ? 'descending' : 'ascending')
    else node.removeAttribute('aria-sort')
  }
  control.addEventListener('click', () => order(column.sort))
  mark(query)
  return { node, mark }
}

function cells(u, done) {
  const act = u.stop
    ? button('Enable…', () => enable(u.stop, done), { class: 'small quiet', 'data-control': 'switch' })
    : button('Disable…', () => disable(u, done), { class: 'small quiet', 'data-control': 'switch' })
  return [
    h('th', { scope: 'row' },
      h('a', { href: `#/users/${encodeURIComponent(u.user_key)}`, class: 'name', 'data-control': 'open' }, u.user || u.user_key),
      u.stop && h('strong', { class: 'tag' }, 'disabled'),
      u.issuer && h('small', { class: 'muted block name' }, u.issuer)),
    figure(money(u.day.used_nanousd, 4)), figure(money(u.month.used_nanousd, 4)),
    figure(count(u.day.requests)), figure(count(u.month.requests)),
    h('td', { class: 'number' }, act),
  ]
}
