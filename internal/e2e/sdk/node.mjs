// Reads calls, one JSON object a line, and writes a JSON line for each: what the
// SDK said, and every answer that came over HTTP.
import { createInterface } from 'node:readline'
import { sdks } from './all.mjs'
import { ask } from './shared.mjs'

let seen = []
const plainly = globalThis.fetch
globalThis.fetch = async (input, init) => {
  const exchange = { method: init?.method ?? 'GET', url: String(input.url ?? input), sent: Object.fromEntries(new Headers(init?.headers)) }
  seen.push(exchange)
  const response = await plainly(input, init)
  exchange.status = response.status
  exchange.headers = Object.fromEntries(response.headers)
  return response
}

for await (const line of createInterface({ input: process.stdin })) {
  seen = []
  const reply = await ask(sdks, JSON.parse(line))
  process.stdout.write(JSON.stringify({ ...reply, http: seen }) + '\n')
}
