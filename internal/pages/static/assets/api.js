// Asks the admin API, as its session.

const base = '/admin/api/'

// Refused is an answer that is not the one asked for.
export class Refused extends Error {
  constructor(status, code, text, retryAfter) {
    super(text)
    this.status = status
    this.code = code
    this.retryAfter = retryAfter
  }
}

// SignedOut: without a session there is nothing here, and it says so with a plain 404.
export class SignedOut extends Error {}

// Gone: nobody answers.
export class Gone extends Error {}

// path puts a question together.
export function path(where, parameters = {}) {
  const query = new URLSearchParams()
  for (const [name, value] of Object.entries(parameters)) {
    if (value !== '' && value !== null && value !== undefined && value !== false) query.append(name, value)
  }
  const text = query.toString()
  return base + where + (text && '?' + text)
}

async function call(method, address, body, signal) {
  let response
  try {
    response = await fetch(address, {
      method, signal, cache: 'no-store', redirect: 'error',
      headers: body === undefined ? {} : { 'Content-Type': 'application/json' },
      body: body === undefined ? undefined : JSON.stringify(body),
    })
  } catch (error) {
    if (error.name === 'AbortError') throw error
    throw new Gone('The server does not answer.')
  }
  // Every answer of the API has this header; at its closed door nobody says whose it is.
  const ours = response.headers.has('keyshield-operator')
  if (response.status === 204) return null
  const text = await response.text().catch(() => '')
  if (response.ok && ours) return JSON.parse(text)
  if (response.status === 404 && !ours) throw new SignedOut('You are signed out.')
  let told = {}
  try {
    told = JSON.parse(text)
  } catch { /* a proxy's page: its status says enough */ }
  if (!ours && !told.code) throw new Gone(`The server cannot be reached: something in front of it answers ${response.status}.`)
  throw new Refused(response.status, told.code, told.error ?? `The server answers ${response.status}.`, response.headers.get('retry-after'))
}

export const get = (where, parameters, signal) => call('GET', path(where, parameters), undefined, signal)
export const post = (where, body = {}) => call('POST', base + where, body)
export const signOut = () => call('DELETE', base + 'session')

// signIn trades the token for a session; the browser keeps that where no script gets
// at it.
export async function signIn(token) {
  try {
    await post('session', { token })
  } catch (error) {
    if (error instanceof SignedOut) throw new Refused(404, 'wrong', 'That is not the token of this server. It is the ADMIN_TOKEN that it was started with.')
    if (error.status === 429) throw new Refused(429, 'too_many', `Too many wrong tokens. The next wrong one is looked at in ${error.retryAfter ?? 60} seconds; the right one always works.`)
    throw error
  }
}
