// The switches: stop and let go again, somebody or everything. Each asks first, and
// says in its dialog what went wrong.

import { h, say } from './dom.js'
import { post } from './api.js'

const durations = [['', 'until I let it go again'], ['15m', 'for 15 minutes'], ['1h', 'for 1 hour'], ['24h', 'for 24 hours'], ['168h', 'for 7 days'], ['720h', 'for 30 days']]

let numbers = 0

function field(label, control, hint) {
  const id = `field-${++numbers}`
  control.id = id
  return [h('label', { for: id }, label, hint && h('small', { class: 'muted' }, ' ', hint)), control]
}

// dialog asks for what is in fields, and does act with their values. It closes when
// that has worked.
function dialog({ title, text, fields, action, danger, act }) {
  const said = h('p', { role: 'alert', class: 'bad' })
  const send = h('button', { type: 'submit', class: danger ? 'danger' : null }, action)
  const cancel = h('button', { type: 'button', class: 'quiet' }, 'Cancel')
  const heading = `dialog-${++numbers}`
  const form = h('form', {}, h('h2', { id: heading }, title), text.map((t) => h('p', {}, t)), fields, said, h('div', { class: 'actions' }, send, cancel))
  const node = h('dialog', { 'aria-labelledby': heading }, h('article', {}, form))
  form.addEventListener('submit', async (e) => {
    e.preventDefault()
    if (send.disabled) return
    send.disabled = true
    say(said, '')
    try {
      const problem = await act()
      if (!problem) return node.close()
      say(said, problem)
    } catch (error) {
      say(said, error.message)
    }
    send.disabled = false
  })
  cancel.addEventListener('click', () => node.close())
  node.addEventListener('close', () => node.remove())
  document.body.append(node)
  node.showModal()
}

const reason = (required) => h('input', { type: 'text', maxlength: 250, required, autocomplete: 'off' })
const lasting = (usual = '') => h('select', {}, durations.map(([value, text]) => h('option', { value, selected: value === usual }, text)))

// unclear is what to do about a name that could be anybody's, or null.
function unclear(error) {
  switch (error.code) {
    case 'several_users': return 'Several have that name: open the one that you mean from the list of users.'
    case 'issuer_needed': return 'Nobody of that name has asked anything here. Say the issuer: the iss in their tokens, or none if those have no iss.'
  }
  return null
}

// stop disables a user, and returns what is unclear.
async function stop(what, done) {
  try {
    await post('disable', what)
  } catch (error) {
    const problem = unclear(error)
    if (problem) return problem
    throw error
  }
  await done()
  return ''
}

// release enables something. What runs already was what was wanted, and is said.
async function release(what, done) {
  let told = ''
  try {
    await post('enable', what)
  } catch (error) {
    const problem = unclear(error)
    if (problem) return problem
    if (error.code !== 'not_stopped') throw error
    told = 'It was not stopped any more.'
  }
  await done()
  return told
}

// everything is the big red switch.
export function everything(done) {
  const why = reason(true)
  const time = lasting()
  dialog({
    title: 'Stop everything?',
    text: ['Nobody is answered any more: new requests are refused with 503, and streams that run end with an error. It can be undone at any time.'],
    fields: [field('Why', why, '(goes to the log)'), field('How long', time)],
    action: 'Stop everything', danger: true,
    act: async () => {
      await post('disable', { everything: true, why: why.value, for: time.value || undefined })
      await done()
    },
  })
}

export function resume(done) {
  const why = reason(false)
  dialog({
    title: 'Resume?', text: ['Everybody is answered again, except those who are disabled themselves.'],
    fields: [field('Why', why, '(optional; goes to the log)')], action: 'Resume',
    act: () => {
      return release({ everything: true, why: why.value || undefined }, done)
    },
  })
}

// disable stops one user, who is known.
export function disable(person, done) {
  const why = reason(true)
  const time = lasting('1h')
  dialog({
    title: 'Disable this user?',
    text: [h('strong', { class: 'name' }, person.user || person.user_key), 'Every request is refused with 403, and streams that run end with an error.'],
    fields: [field('Why', why, '(goes to the log)'), field('How long', time)],
    action: 'Disable', danger: true,
    act: () => {
      return stop({ user: person.user_key, why: why.value, for: time.value || undefined }, done)
    },
  })
}

// disableNamed stops somebody whose name the operator types.
export function disableNamed(done) {
  const name = h('input', { type: 'text', required: true, maxlength: 256, autocomplete: 'off', spellcheck: 'false' })
  const issuer = h('input', { type: 'text', maxlength: 256, autocomplete: 'off', spellcheck: 'false' })
  const why = reason(true)
  const time = lasting('1h')
  dialog({
    title: 'Disable a user',
    text: ['Somebody who has not asked anything yet can be disabled, too.'],
    fields: [field('User', name, '(the id in the token, or the pseudonym)'), field('Issuer', issuer, '(the iss in the token, if several have that id or nobody was seen yet; none: no iss)'), field('Why', why, '(goes to the log)'), field('How long', time)],
    action: 'Disable', danger: true,
    act: () => {
      return stop({ user: name.value, issuer: issuer.value || undefined, why: why.value, for: time.value || undefined }, done)
    },
  })
}

// enable lets a stop go: a user's or a model's.
export function enable(halt, done) {
  const why = reason(false)
  const name = halt.model || halt.user || halt.user_key
  dialog({
    title: halt.model ? 'Enable this model again?' : 'Enable this user again?',
    text: [h('strong', { class: 'name' }, name), ...(halt.why ? [`Stopped because: ${halt.why}`] : [])],
    fields: [field('Why', why, '(optional; goes to the log)')], action: 'Enable',
    act: async () => {
      const what = halt.model ? { model: halt.model } : { user: halt.user_key }
      return release({ ...what, why: why.value || undefined }, done)
    },
  })
}
