// As node.mjs, with the SDKs in pages of Chromium. It bundles them into the
// folder BUNDLE, which the Go test serves, and opens the page that a call names.
import { createInterface } from 'node:readline'
import { bundle, launch } from './browser.mjs'

const pages = new Map()
let seen = []

await bundle('sdk/page.mjs')
const browser = await launch()
const context = await browser.newContext()

async function open(address) {
  const page = await context.newPage()
  page.on('response', (response) => seen.push(noted(response)))
  await page.goto(address)
  await page.waitForFunction(() => window.ask)
  return page
}

// noted has what the page itself cannot see: every header of both sides.
async function noted(response) {
  const request = response.request()
  return {
    method: request.method(),
    url: request.url(),
    sent: await request.allHeaders(),
    status: response.status(),
    headers: await response.allHeaders(),
  }
}

process.stdout.write('{"ready":true}\n')
for await (const line of createInterface({ input: process.stdin })) {
  const call = JSON.parse(line)
  if (!pages.has(call.page)) pages.set(call.page, await open(call.page))
  seen = []
  const reply = await pages.get(call.page).evaluate((call) => window.ask(call), call)
  const http = (await Promise.all(seen)).filter((exchange) => exchange.url.startsWith(call.at.url))
  process.stdout.write(JSON.stringify({ ...reply, http }) + '\n')
}
await browser.close()
