// Where the operator signs in. The token goes from the field to the server, and is
// kept nowhere.

import { h, say } from './dom.js'
import { signIn } from './api.js'

export function showSignIn(root, enter, reason) {
  const token = h('input', { type: 'password', id: 'admin-token', autocomplete: 'current-password', required: true, spellcheck: 'false', 'aria-describedby': 'sign-in-said' })
  const said = h('p', { id: 'sign-in-said', role: 'alert', class: 'bad' })
  const send = h('button', { type: 'submit' }, 'Sign in')
  const form = h('form', {}, h('label', { for: 'admin-token' }, 'Admin token'), token, said, send)
  form.addEventListener('submit', async (e) => {
    e.preventDefault()
    const given = token.value.trim()
    if (given === '' || send.disabled) return
    send.disabled = true
    say(said, '')
    try {
      await signIn(given)
      token.value = ''
      await enter()
    } catch (error) {
      say(said, error.message)
      token.select()
    } finally {
      send.disabled = false
    }
  })
  root.replaceChildren(h('article', { class: 'narrow' },
    h('h1', {}, 'Sign in'),
    reason && h('p', { role: 'status' }, reason),
    form,
    h('p', { class: 'muted' }, h('small', {}, 'The token is ADMIN_TOKEN of the server’s settings. It is traded for a session, and not kept in this browser.'))))
  token.focus()
}
