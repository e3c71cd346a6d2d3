// Uses the application as a person would: reads what to do, one JSON object a
// line, and writes what is then to be seen.
import { createInterface } from 'node:readline'
import { bundle, launch } from '../sdk/browser.mjs'

await bundle('hooks/app.jsx')
const browser = await launch()
const context = await browser.newContext()
let page

// settled waits until what was begun has ended, well or not.
const settled = (before) =>
  page.waitForFunction((n) => window.statuses.length > n && ['ready', 'error'].includes(window.statuses.at(-1)), before)

const acts = {
  async open({ address }) {
    await page?.close()
    page = await context.newPage()
    page.setDefaultTimeout(30_000)
    await page.goto(address)
    await page.waitForFunction(() => window.statuses?.length > 0)
  },

  async say({ prompt, stopAfter }) {
    const before = await begin(prompt)
    if (stopAfter) {
      await page.waitForFunction((n) => window.lengths.length > n, stopAfter)
      await page.getByRole('button', { name: 'Stop' }).click()
    }
    await settled(before)
  },

  async again() {
    const before = await forget()
    await page.getByRole('button', { name: 'Again' }).click()
    await settled(before)
  },
}

async function begin(prompt) {
  const before = await forget()
  await page.getByRole('textbox').fill(prompt)
  await page.getByRole('button', { name: 'Send' }).click()
  return before
}

const forget = () => page.evaluate(() => ((window.lengths = []), window.statuses.length))

const look = () =>
  page.evaluate(() => ({
    status: document.querySelector('output').textContent,
    error: document.querySelector('[role=alert]')?.textContent ?? '',
    messages: [...document.querySelectorAll('li')].map((li) => ({ role: li.dataset.role, text: li.textContent })),
    lengths: window.lengths,
  }))

process.stdout.write('{"ready":true}\n')
for await (const line of createInterface({ input: process.stdin })) {
  const act = JSON.parse(line)
  let seen
  try {
    await acts[act.do](act)
    seen = await look()
  } catch (e) {
    seen = { failed: e.message, ...(await look().catch(() => ({}))) }
  }
  process.stdout.write(JSON.stringify(seen) + '\n')
}
await browser.close()
