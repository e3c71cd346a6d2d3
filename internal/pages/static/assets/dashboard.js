// The dashboard: signs in, shows one page at a time, and keeps it up to date while
// somebody looks.

import { $, h, say, fill, button } from './dom.js'
import { get, signOut, Gone, SignedOut } from './api.js'
import { span, clock, stamp, standing } from './format.js'
import { showSignIn } from './signin.js'
import { everything, resume } from './switches.js'
import now from './now.js'
import users from './users.js'
import user from './user.js'
import log from './log.js'
import keys from './keys.js'
import settings from './settings.js'
import whoami from './whoami.js'

const pages = { now, users, user, log, keys, settings, whoami }
const listed = ['now', 'users', 'log', 'keys', 'settings', 'whoami']

const pace = 2000 // milliseconds between two looks
const warning = 60_000 // before the page signs out

const state = {
  config: { idle_ms: 1_800_000, key_age_ms: 7_776_000_000 },
  overview: null,
  signedIn: false,
  touched: Date.now(), // by somebody
  lookedAt: 0, // with an answer
  timer: 0,
  looking: false,
  page: null, // what is shown
}

start()

async function start() {
  try {
    state.config = await (await fetch('/admin/config.json')).json()
  } catch { /* the next question says that nobody answers */ }
  $('stop-all').addEventListener('click', () => everything(look))
  $('sign-out').addEventListener('click', () => leave('You are signed out.'))
  $('nav').append(h('ul', {}, listed.map((name) => h('li', {}, h('a', { href: `#/${name}`, id: `nav-${name}` }, pages[name].title)))))
  addEventListener('hashchange', show)
  document.addEventListener('visibilitychange', () => !document.hidden && state.signedIn && look())
  for (const kind of ['pointerdown', 'keydown', 'wheel', 'touchstart']) addEventListener(kind, touch, { passive: true })
  await enter()
}

// enter looks whether there is a session.
async function enter() {
  try {
    state.overview = await get('overview')
  } catch (error) {
    if (error instanceof SignedOut) return ask()
    return fail(error)
  }
  state.signedIn = true
  state.touched = state.lookedAt = Date.now()
  $('nav').hidden = $('tools').hidden = $('foot').hidden = false
  band('gone-band', '')
  show()
  again()
}

function ask(reason) {
  close()
  document.title = 'Sign in – keyshield'
  showSignIn($('main'), enter, reason)
}

// fail shows that there was no answer before there was a page.
function fail(error) {
  $('main').replaceChildren(h('article', { class: 'narrow' },
    h('h1', {}, 'No answer'), h('p', { role: 'alert' }, error.message),
    button('Try again', enter)))
}

function close() {
  clearTimeout(state.timer)
  state.page?.close?.()
  Object.assign(state, { page: null, overview: null, signedIn: false })
  $('nav').hidden = $('tools').hidden = $('foot').hidden = true
  for (const id of ['stopped-band', 'gone-band', 'idle-band']) band(id, '')
  document.querySelector('dialog[open]')?.close()
}

async function leave(reason) {
  close()
  try {
    await signOut()
  } catch { /* the session ends by itself */ }
  ask(reason)
}

// show puts up the page that the address names.
function show() {
  if (!state.signedIn) return
  const [, name = 'now', rest = ''] = /^#\/([a-z]*)\/?(.*)$/s.exec(location.hash) ?? []
  const key = name === 'users' && rest && !rest.startsWith('?') ? 'user' : name
  const page = Object.hasOwn(pages, key) ? pages[key] : now
  state.page?.close?.()
  const root = h('div', { class: `page page-${key}` })
  const heading = h('h1', { tabindex: '-1' }, page.title)
  state.page = page.open(root, { rest, heading, config: state.config, overview: () => state.overview, look, problem: (error) => trouble(error) })
  $('main').replaceChildren(h('div', { class: 'page-head' }, heading), root)
  document.title = `${page.title} – keyshield`
  for (const other of listed) {
    const here = other === key || (key === 'user' && other === 'users')
    here ? $(`nav-${other}`).setAttribute('aria-current', 'page') : $(`nav-${other}`).removeAttribute('aria-current')
  }
  if (state.shownBefore) heading.focus({ preventScroll: true })
  state.shownBefore = true
  scrollTo(0, 0)
  refresh()
}

function again() {
  clearTimeout(state.timer)
  if (state.signedIn) state.timer = setTimeout(look, pace)
}

// look asks once more, if anybody is there to see it.
async function look() {
  if (!state.signedIn || state.looking) return
  if (document.hidden) return again()
  if (idle()) return
  state.looking = true
  try {
    state.overview = await get('overview')
    state.lookedAt = Date.now()
    band('gone-band', '')
    if (state.signedIn) refresh()
  } catch (error) {
    trouble(error)
  } finally {
    state.looking = false
    again()
  }
}

function refresh() {
  const o = state.overview
  showStopped(o.stopped.find((s) => s.everything))
  say($('foot-text'), `keyshield ${o.version}, running for ${span(Date.parse(o.at) - Date.parse(o.since))}. As of ${stamp(o.at, { seconds: true })}; all times are UTC. Unused for ${span(state.config.idle_ms)}, this page signs out.`)
  state.page?.update?.(o)
}

// trouble is what a page does with an error: it says so, and stays.
function trouble(error) {
  if (!state.signedIn || error.name === 'AbortError') return
  if (error instanceof SignedOut) return ask('You were signed out: the session was not used for half an hour, is 12 hours old, or the server was started anew.')
  const since = error instanceof Gone ? ` What you see is from ${clock(state.lookedAt)} UTC.` : ''
  band('gone-band', `${error.message}${since} Trying again.`)
}

function band(id, text) {
  $(id).hidden = text === ''
  say($(id), text)
}

function showStopped(stop) {
  const node = $('stopped-band')
  node.hidden = !stop
  $('stop-all').hidden = Boolean(stop)
  fill(node, stop ?? null, () => stop && [
    h('span', {}, h('strong', {}, 'Everything is stopped'), ` ${standing(stop)}.`),
    button('Resume…', () => resume(look), { class: 'small' }),
  ])
}

function touch() {
  if (state.signedIn && !idle()) state.touched = Date.now()
}

// idle signs out who is not there any more.
function idle() {
  const rest = state.touched + state.config.idle_ms - Date.now()
  if (rest <= 0) {
    leave(`You were signed out: nothing was done here for ${span(state.config.idle_ms)}.`)
    return true
  }
  band('idle-band', rest <= warning ? 'You will be signed out in less than a minute. Press a key or click to stay.' : '')
  return false
}
