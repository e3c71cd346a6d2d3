// What the SDKs' modules have in common. They run in Node and in a browser.
import { z } from 'zod'

export const weather = {
  name: 'weather',
  description: 'The weather in a city',
  parameters: {
    type: 'object',
    properties: { city: { type: 'string', description: 'Its name' } },
    required: ['city'],
    additionalProperties: false,
  },
  strict: true,
}

export const city = z.object({ city: z.string().describe('Its name') })

export const forecast = (given) => JSON.stringify({ asked: given, sky: 'clear' })

export const person = z.object({ name: z.string(), age: z.number().int(), tags: z.array(z.string()) })

// following runs a stream: told.say takes each piece of text, and after that many
// of them the caller hangs up. An error keeps what was told before it.
export async function following(after, run) {
  const hangup = new AbortController()
  const told = {
    text: '',
    pieces: 0,
    say(piece) {
      if (!piece) return
      told.text += piece
      if (++told.pieces === after) hangup.abort()
    },
  }
  try {
    await run(told, hangup.signal)
  } catch (e) {
    if (!hangup.signal.aborted) throw Object.assign(e, { told: { text: told.text, pieces: told.pieces } })
  }
  const { say, ...seen } = told
  return { ...seen, aborted: hangup.signal.aborted }
}

// describe is an SDK's error as plain data. Class is what an application would
// compare with: the class of openai's errors, the name of the AI SDK's.
export function describe(e) {
  if (!(e instanceof Error)) return { class: typeof e, message: JSON.stringify(e) ?? String(e) }
  const inner = e.lastError ?? e
  const body = inner.data?.error ?? inner.error ?? {}
  return {
    class: e.name === 'Error' ? e.constructor.name : e.name,
    message: e.message,
    status: inner.status ?? inner.statusCode,
    code: [inner.code, body.code].find((c) => typeof c === 'string'), // a DOMException's is a number
    type: inner.type ?? body.type ?? undefined,
    param: inner.param ?? body.param ?? undefined,
    told: e.told,
    stack: e.stack?.split('\n').slice(0, 4).join('\n'),
  }
}

// ask does one call with an SDK and never throws.
export async function ask(sdks, call) {
  try {
    const sdk = sdks[call.sdk]
    if (!sdk) throw new Error(`there is no ${call.sdk}: only ${Object.keys(sdks)}`)
    const ops = sdk(call.at)
    if (!ops[call.op]) throw new Error(`${call.sdk} has no ${call.op}: only ${Object.keys(ops)}`)
    return { value: await ops[call.op](call) }
  } catch (e) {
    return { error: describe(e) }
  }
}

// unpacked: base64 that was asked for in so many words is left to the caller.
export function unpacked(embedding) {
  if (typeof embedding !== 'string') return embedding
  return Array.from(new Float32Array(Uint8Array.from(atob(embedding), (c) => c.charCodeAt(0)).buffer))
}
