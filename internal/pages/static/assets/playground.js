// The playground: asks this server as a front end does, and shows what comes back as a
// client gets it. The token is in this page's memory and nowhere else.

import { $, h, say, fill, copier } from './dom.js'
import { milliseconds, plural, stamp, span, count } from './format.js'
import { events } from './sse.js'
import { inspect } from './token.js'
import { snippets } from './snippets.js'

let config
let call = null // the one under way
let left = 0 // counts the questions about what is left, since answers can overtake

const token = () => $('token').value.trim()
const prompt = () => $('prompt').value
const stream = () => $('stream').checked
const endpoint = () => (config.endpoints.includes('text') && $('endpoint').value !== 'chat' ? 'text' : 'chat')

start()

async function start() {
  try {
    config = await (await fetch('/playground/config.json')).json()
  } catch {
    say($('behind'), 'This server does not answer. Is it still running?')
    return
  }
  say($('behind'), config.behind)
  $('behind').classList.toggle('simulated', config.simulated)
  $('token').value = config.token
  $('with-token').checked = config.token !== ''
  offerEndpoints()
  offerSnippets()
  listen()
  countPrompt()
  judgeToken()
  askWhatIsLeft()
  setInterval(judgeToken, 1000) // it expires while one looks at it
}

function listen() {
  $('ask').addEventListener('submit', (e) => {
    e.preventDefault()
    ask()
  })
  $('prompt').addEventListener('keydown', (e) => {
    if (e.key === 'Enter' && (e.ctrlKey || e.metaKey)) {
      e.preventDefault()
      ask()
    }
  })
  $('stop').addEventListener('click', () => call?.abort())
  $('prompt').addEventListener('input', () => (countPrompt(), showSnippet()))
  $('token').addEventListener('input', () => (judgeToken(), showSnippet()))
  $('token').addEventListener('change', () => askWhatIsLeft())
  for (const id of ['stream', 'with-token', 'endpoint']) $(id).addEventListener('change', showSnippet)
}

function offerEndpoints() {
  const names = { text: 'Text API (POST /api/generate-text)', chat: 'OpenAI’s chat (POST /v1/chat/completions)' }
  const open = Object.keys(names).filter((name) => config.endpoints.includes(name))
  $('endpoint').append(...open.map((name) => h('option', { value: name }, names[name])))
  $('endpoint-label').hidden = open.length < 2
  if (open.length > 0) return
  $('send').disabled = true
  say($('status'), 'Neither the text API nor chat is open here. To ask from this page, add one of them to ENDPOINTS.')
}

function countPrompt() {
  const n = [...prompt().trim()].length
  const over = config.max_prompt > 0 && n > config.max_prompt
  say($('prompt-count'), config.max_prompt > 0 ? `${count(n)} of ${plural(config.max_prompt, 'character')}` : plural(n, 'character'))
  $('prompt-count').classList.toggle('bad', over)
}

// requests are what each endpoint wants, and where its words are.
const requests = {
  text: {
    path: '/api/generate-text',
    body: () => ({ userPrompt: prompt(), stream: stream() }),
    whole: (answer) => answer.result,
    refusal: (answer) => ({ text: answer.error, code: answer.code }),
  },
  chat: {
    path: '/v1/chat/completions',
    body: () => ({ model: config.model, messages: [{ role: 'user', content: prompt() }], stream: stream() }),
    whole: (answer) => answer.choices?.[0]?.message?.content,
    refusal: (answer) => ({ text: answer.error?.message, code: answer.error?.code }),
  },
}

async function ask() {
  if (call || $('send').disabled) return
  const request = requests[endpoint()]
  call = new AbortController()
  const run = { began: performance.now(), first: null, words: '' }
  begin()
  try {
    const headers = { 'Content-Type': 'application/json' }
    if (token()) headers.Authorization = `Bearer ${token()}`
    const response = await fetch(request.path, {
      method: 'POST', headers, body: JSON.stringify(request.body()), signal: call.signal, cache: 'no-store', redirect: 'error', credentials: 'omit',
    })
    showReceived(response)
    if (!response.ok) await showRefusal(response, request)
    else if (/^text\/event-stream/.test(response.headers.get('content-type') ?? '')) await relay(response, run)
    else await showWhole(response, request, run)
  } catch (error) {
    ended(error, run)
  }
  call = null
  $('send').disabled = false
  $('stop').disabled = true
  $('answer').removeAttribute('aria-busy')
  askWhatIsLeft()
}

function begin() {
  $('send').disabled = true
  $('stop').disabled = false
  $('answer').replaceChildren()
  $('answer').setAttribute('aria-busy', 'true')
  $('problem').hidden = true
  $('received').hidden = true
  $('raw-body').hidden = true
  say($('status'), 'Waiting for the first word…')
}

async function relay(response, run) {
  for await (const { event, data } of events(response.body)) {
    if (data === '[DONE]') return done(run)
    const said = JSON.parse(data)
    if (event === 'error' || said.error) {
      const problem = typeof said.error === 'object' ? said.error : { message: said.error, code: said.code }
      return fail('The stream ended with an error', problem.message, problem.code, data)
    }
    if (event === 'done') return done(run, said.finish_reason)
    hear(said.delta ?? said.choices?.[0]?.delta?.content ?? '', run)
  }
  fail('The stream broke off', 'It ended without saying so: something between this page and the server has cut it.')
}

function hear(text, run) {
  if (text === '') return
  if (run.first === null) {
    run.first = performance.now() - run.began
    say($('status'), `Streaming. The first word came after ${milliseconds(run.first)}.`)
  }
  run.words += text
  $('answer').append(text)
}

async function showWhole(response, request, run) {
  const text = await response.text()
  const answer = JSON.parse(text)
  run.words = request.whole(answer) ?? ''
  $('answer').textContent = run.words
  done(run)
}

function done(run, finish) {
  const parts = [`Done: ${plural([...run.words].length, 'character')} in ${milliseconds(performance.now() - run.began)}`]
  if (run.first !== null) parts.push(`the first after ${milliseconds(run.first)}`)
  if (finish === 'length') parts.push('cut off at the limit for answers')
  say($('status'), parts.join(', ') + '.')
}

async function showRefusal(response, request) {
  const text = await response.text()
  let refusal = {}
  try {
    refusal = request.refusal(JSON.parse(text))
  } catch { /* no JSON: shown as it is */ }
  fail(`${response.status} ${response.statusText}`, refusal.text ?? 'The answer is not the server’s own: a proxy in between may have given it.', refusal.code, text)
}

function ended(error, run) {
  if (error.name === 'AbortError') {
    say($('status'), `Stopped by you after ${plural([...run.words].length, 'character')}.`)
    return
  }
  const why = /^[\x21-\x7e]*$/.test(token()) ? 'The server did not answer, or the connection broke.' : 'The token has characters that no header can carry: copy it again.'
  fail('No answer', why)
}

function fail(title, text, code, body) {
  say($('status'), 'It did not work.')
  $('problem').hidden = false
  $('problem').replaceChildren(h('strong', {}, title), ...(code ? [' ', h('code', {}, code)] : []), h('p', {}, text ?? ''))
  if (!body) return
  $('raw-body').hidden = false
  $('raw-body').textContent = body
}

const telling = /^(ratelimit-|x-ratelimit-|retry-after|x-budget-|x-should-retry|x-request-id|content-type)/

function showReceived(response) {
  $('received').hidden = false
  say($('raw-status'), `HTTP ${response.status} ${response.statusText}`)
  const list = [...response.headers].filter(([name]) => telling.test(name))
  $('headers').replaceChildren(h('dl', { class: 'pairs' }, list.map(([name, value]) => [h('dt', {}, name), h('dd', {}, value)])))
}

function judgeToken() {
  const text = token()
  const now = Date.now()
  if (text === '') {
    say($('token-verdict'), 'Without a token every question is refused: paste one.')
    fill($('token-claims'), null, () => null)
    fill($('token-found'), null, () => null)
    $('token-raw').hidden = true
    return
  }
  const seen = inspect(text, config.rules, now)
  const bad = seen.found.filter((f) => !f.ok)
  say($('token-verdict'), bad.length === 0 ? 'Nothing speaks against it. Whether its signature is right, only the server can say.' : 'This server would refuse it:')
  $('token-verdict').classList.toggle('bad', bad.length > 0)
  fill($('token-claims'), claimsOf(seen, now), (list) => list.map(([name, value]) => [h('dt', {}, name), h('dd', {}, value)]))
  fill($('token-found'), seen.found, (list) => list.map((f) => h('li', { class: f.ok ? 'good' : 'bad' }, h('span', { class: 'unseen' }, f.ok ? 'fine: ' : 'wrong: '), f.text)))
  $('token-raw').hidden = !seen.claims
  say($('token-json'), JSON.stringify({ header: seen.header, claims: seen.claims }, null, 2))
}

function claimsOf({ claims, user, plan }, now) {
  if (!claims) return []
  const text = (v) => (typeof v === 'string' ? v : JSON.stringify(v))
  const list = [['user', user === undefined ? 'none' : text(user)], ['plan', plan ? text(plan) : 'the default one']]
  if (claims.iss) list.push(['issuer', text(claims.iss)])
  if (typeof claims.exp === 'number' && Math.abs(claims.exp) < 8.64e12) {
    const at = claims.exp * 1000
    list.push(['valid until', `${stamp(at)} UTC, ${at > now ? 'for another ' + span(at - now) : span(now - at) + ' ago'}`])
  }
  return list
}

const settling = 500 // milliseconds; a call is settled a moment after its answer
const patience = 10 // times that is waited for

// askWhatIsLeft asks again while a call that has ended is still held.
async function askWhatIsLeft(again = 0) {
  const mine = ++left
  if (token() === '') return
  let answer, problem
  try {
    const response = await fetch('/api/usage/me', { headers: { Authorization: `Bearer ${token()}` }, cache: 'no-store', credentials: 'omit' })
    answer = await response.json()
    if (!response.ok) problem = answer.error
  } catch {
    problem = 'The server did not say.'
  }
  if (mine !== left) return
  fill($('left'), problem ?? answer, () => (problem ? h('p', { class: 'muted' }, problem) : leftOf(answer)))
  if (!problem && !call && Number(answer.day.held) > 0 && again < patience) {
    setTimeout(() => mine === left && askWhatIsLeft(again + 1), settling)
  }
}

function leftOf(usage) {
  const list = [h('dt', {}, 'plan'), h('dd', {}, usage.plan)]
  const r = usage.requests
  list.push(h('dt', {}, 'requests'), h('dd', {}, r ? `${count(r.remaining)} of ${count(r.limit)}, all of them again in ${span(r.reset * 1000)}` : 'no limit'))
  return [h('dl', { class: 'pairs' }, list), windowOf('Today', usage.day), windowOf('This month', usage.month)]
}

function windowOf(title, w) {
  const sentence = w.cap === null ? `$${w.used} used; no cap` : `$${w.left} of $${w.cap} left`
  const used = w.cap === null ? 0 : Number(w.cap) > 0 ? Math.min(1, Number(w.used) / Number(w.cap)) : 1
  const details = [`${plural(w.requests, 'request')}, ${count(w.input_tokens)} tokens in and ${count(w.output_tokens)} out; $${w.spent} spent`]
  if (Number(w.charged_at_ceiling) > 0) details.push(`$${w.charged_at_ceiling} charged at the ceiling, since nobody proved what those calls cost`)
  if (Number(w.held) > 0) details.push(`$${w.held} held by calls under way`)
  return h('div', { class: 'window' },
    h('div', { class: 'between' }, h('strong', {}, title), h('span', { class: 'number' }, sentence)),
    w.cap !== null && h('progress', { value: used, max: 1, 'aria-label': `${title}: used` }),
    details.map((d) => h('small', { class: 'muted block' }, d)))
}

let chosen = 0

function offerSnippets() {
  const tabs = snippets.map((s, i) => {
    const tab = h('button', { type: 'button', role: 'tab', id: `tab-${i}`, 'aria-controls': 'panel' }, s.name)
    tab.addEventListener('click', () => choose(i))
    return tab
  })
  $('tabs').append(...tabs)
  $('tabs').addEventListener('keydown', (e) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[e.key]
    if (!step) return
    choose((chosen + step + tabs.length) % tabs.length)
    tabs[chosen].focus()
  })
  $('copy').append(copier(() => $('snippet').textContent))
  choose(0)
}

function choose(i) {
  chosen = i
  ;[...$('tabs').children].forEach((tab, j) => {
    tab.setAttribute('aria-selected', String(i === j))
    tab.tabIndex = i === j ? 0 : -1
  })
  $('panel').setAttribute('aria-labelledby', `tab-${i}`)
  showSnippet()
}

function showSnippet() {
  const { needs, code } = snippets[chosen]
  const missing = !config.endpoints.includes(needs)
  $('snippet-note').hidden = !missing
  say($('snippet-note'), missing ? `This call is refused here as it is: it needs ${needs} in ENDPOINTS.` : '')
  const filled = $('with-token').checked && token() !== ''
  say($('snippet'), code({ url: config.url || location.origin, token: filled ? token() : 'YOUR_USERS_TOKEN', prompt: prompt().trim(), stream: stream(), model: config.model }))
}
