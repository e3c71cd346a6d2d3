// Uses the README's components as a person would: BUNDLE/app.jsx, to which the Go
// test gives an address and a token. It reads what to do, one JSON object a line,
// and writes what the page then shows.
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { bundle, launch } from '../sdk/browser.mjs'

await bundle(join(process.env.BUNDLE, 'app.jsx'))
const browser = await launch()
const page = await browser.newPage()
page.setDefaultTimeout(30_000)

const acts = {
  open: ({ address }) => page.goto(address),

  async say({ prompt }) {
    await page.getByRole('textbox').fill(prompt)
    await page.getByRole('button', { name: 'Send' }).click()
  },

  press: ({ button }) => page.getByRole('button', { name: button }).click(),
}

const shown = () => page.evaluate(() => document.body.innerText)

process.stdout.write('{"ready":true}\n')
for await (const line of createInterface({ input: process.stdin })) {
  const act = JSON.parse(line)
  let seen
  try {
    await acts[act.do](act)
    await page.getByText(act.until, { exact: true }).waitFor()
    seen = { page: await shown() }
  } catch (e) {
    seen = { failed: e.message, page: await shown().catch(() => '') }
  }
  process.stdout.write(JSON.stringify(seen) + '\n')
}
await browser.close()
