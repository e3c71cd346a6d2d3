// Log: the audit log with filters, its export, and whether it is what was written.

import { h, say, fill, button } from './dom.js'
import { get, path } from './api.js'
import { plural } from './format.js'
import { records, addRecords } from './records.js'

const page = 100
const often = 5000 // milliseconds between two looks, while only the newest are shown

const kinds = [['', 'all'], ['request', 'requests'], ['operator', 'by an operator'], ['refused', 'refused strangers'], ['start', 'starts'], ['stop', 'stops'], ['lost', 'lost records']]
const outcomes = [['', 'all'], ['ok', 'ok'], ['refused', 'refused'], ['failed', 'failed'], ['client_gone', 'client gone'], ['unknown', 'unknown'], ['done', 'done']]

export default { title: 'Log', open }

// frame is the page before there are records.
function frame(ctx, load, more) {
  const filter = filterForm(ctx.rest, load)
  const list = records('Records, the newest first')
  const said = h('p', { role: 'status', class: 'muted' })
  const problem = h('p', { role: 'alert', class: 'bad' })
  const older = button('Older', more, { class: 'small quiet', hidden: true })
  const download = h('a', { class: 'button small quiet', download: 'audit.jsonl', href: path('audit/export') }, 'Export')
  list.node.setAttribute('aria-busy', 'true')
  const nodes = [filter.node,
    h('div', { class: 'between bar' }, said, h('div', { class: 'actions' }, download)),
    problem, list.node, h('div', { class: 'actions' }, older), chainCard(ctx)]
  return { nodes, filter, list, said, problem, older, download }
}

function open(root, ctx) {
  const view = frame(ctx, () => load(), () => more())
  root.append(...view.nodes)
  let all = []
  let following = 0
  let paged = false
  let next = 0
  let abort = new AbortController()
  let closed = false

  async function ask(parameters) {
    abort.abort()
    abort = new AbortController()
    next = Date.now() + often
    try {
      const answer = await get('audit', { ...parameters, limit: page }, abort.signal)
      say(view.problem, unreadable(answer.unreadable ?? 0))
      view.list.node.removeAttribute('aria-busy')
      return answer
    } catch (error) {
      if (closed || error.name === 'AbortError') return null
      view.list.node.removeAttribute('aria-busy')
      say(view.problem, error.code ? error.message : '')
      if (!error.code) ctx.problem(error)
      return null
    }
  }

  async function load() {
    const parameters = view.filter.values()
    view.download.setAttribute('href', path('audit/export', parameters))
    keep(await ask(parameters), [], false)
  }

  const more = async () => keep(await ask({ ...view.filter.values(), before: following }), all, true)

  function keep(answer, before, turned) {
    if (!answer) return
    all = [...before, ...answer.records]
    following = answer.next ?? 0
    paged = turned
    show(view, all, following > 0)
  }

  load()
  return {
    update() {
      if (!paged && Date.now() >= next) load()
    },
    close() {
      closed = true
      abort.abort()
    },
  }
}

const unreadable = (n) => (n > 0 ? `${plural(n, 'line')} of the log cannot be read and ${n === 1 ? 'is' : 'are'} left out: check the chain below.` : '')

function show({ list, said, older }, all, more) {
  addRecords(list, all)
  list.node.hidden = all.length === 0
  older.hidden = !more
  say(said, all.length === 0 ? 'No records match.' : `${plural(all.length, 'record')}, the newest first${more ? '; there are older ones' : ''}.`)
}

// filterForm are the filters; they are kept in the address.
function filterForm(rest, changed) {
  const given = new URLSearchParams(rest.replace(/^\?/, ''))
  const controls = {}
  const text = (name, label, hint) => [label, (controls[name] = h('input', { type: 'text', value: given.get(name) ?? '', placeholder: hint, autocomplete: 'off', spellcheck: 'false', maxlength: 256 }))]
  const choice = (name, label, list) => [label, (controls[name] = h('select', {}, list.map(([value, words]) => h('option', { value, selected: value === (given.get(name) ?? '') }, words))))]
  const instant = (name, label) => [label, (controls[name] = h('input', { type: 'datetime-local', value: given.get(name) ?? '', step: 1 }))]
  const fields = [
    text('user', 'User', 'id or pseudonym'), choice('kind', 'Kind', kinds), choice('outcome', 'Outcome', outcomes), text('code', 'Code', 'rate_limited'),
    text('endpoint', 'Endpoint', '/v1/responses'), text('model', 'Model'), text('id', 'Request id'), instant('from', 'From (UTC)'), instant('to', 'Until (UTC)'),
  ]
  const clear = h('button', { type: 'button', class: 'small quiet' }, 'Clear')
  const form = h('form', { class: 'filters', 'aria-label': 'Filters' }, fields.map(([label, control]) => h('label', {}, label, control)),
    h('div', { class: 'actions' }, h('button', { type: 'submit', class: 'small' }, 'Apply'), clear))
  const apply = () => {
    const kept = Object.entries(controls).map(([name, c]) => [name, c.value.trim()]).filter(([, v]) => v !== '')
    history.replaceState(null, '', '#/log/' + (kept.length ? '?' + new URLSearchParams(kept) : ''))
    changed()
  }
  form.addEventListener('submit', (e) => (e.preventDefault(), apply()))
  clear.addEventListener('click', () => {
    for (const c of Object.values(controls)) c.value = ''
    apply()
  })
  for (const c of form.querySelectorAll('select')) c.addEventListener('change', apply)
  const node = h('details', { class: 'filter-box', open: given.size > 0 || matchMedia('(min-width: 60rem)').matches }, h('summary', {}, 'Filters'), form)
  return {
    node,
    values() {
      const v = Object.fromEntries(Object.entries(controls).map(([name, c]) => [name, c.value.trim()]))
      for (const name of ['from', 'to']) v[name] = instantOf(v[name])
      return v
    },
  }
}

// instantOf reads what the field says as UTC.
function instantOf(text) {
  if (!text) return ''
  const at = new Date(text + 'Z')
  return Number.isNaN(at.getTime()) ? '' : at.toISOString().replace('.000Z', 'Z')
}

// chainCard checks that no record was changed, left out or moved.
function chainCard(ctx) {
  const result = h('div', { role: 'status' })
  const check = button('Check the chain', async () => {
    fill(result, 'asked', () => h('p', { class: 'muted', 'aria-busy': 'true' }, 'Reading all of it…'))
    try {
      const report = await get('audit/verify')
      fill(result, report, () => verdict(report))
    } catch (error) {
      fill(result, error.message, () => h('p', { class: 'bad' }, error.message))
      if (!error.code) ctx.problem(error)
    }
  }, { class: 'small quiet' })
  return h('article', {}, h('div', { class: 'between' }, h('h2', {}, 'Is this what was written?'), check),
    h('p', { class: 'muted' }, 'Each record has the hash of the one before it, so one that is changed, left out or moved shows.'), result)
}

function verdict(report) {
  return [
    h('p', {}, h('span', { class: `state ${report.ok ? 'fine' : 'bad'}` }, report.ok ? 'verified' : 'not what was written'), ` ${plural(report.records, 'record')} in ${plural(report.files, 'file')}.`),
    h('pre', {}, report.text),
  ]
}
