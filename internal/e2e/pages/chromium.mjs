// Uses the pages of the program as a person would: reads what to do, one JSON object a
// line, and writes what came of it. Every page tells what must not happen on one: an
// error in the console, a broken policy, a request to somebody else.
import { createInterface } from 'node:readline'
import { createRequire } from 'node:module'
import { readFile } from 'node:fs/promises'
import { launch } from '../sdk/browser.mjs'

const axe = await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')
const browser = await launch()
let context
let page
let wrong = []
let asked = []

// watch runs in every page before its own scripts. A payload that runs calls pwned.
const watch = () => {
  window.broken = []
  document.addEventListener('securitypolicyviolation', (e) => window.broken.push(`${e.violatedDirective}: ${e.blockedURI} ${e.sample}`))
  for (const name of ['alert', 'confirm', 'prompt', 'pwned']) window[name] = () => window.broken.push(`${name} was called`)
}

// find is how a person finds something: by its role and name, by its label, or by what
// it says; css is for what has no name.
function find({ role, name, label, text, css, within }) {
  const root = within ? page.locator(within) : page
  if (role) return root.getByRole(role, { name, exact: true }).first()
  if (label) return root.getByLabel(label).first()
  if (text) return root.getByText(text).first()
  return root.locator(css).first()
}

const run = (script, value) => page.evaluate(`(${script})(${JSON.stringify(value ?? null)})`)

const acts = {
  async open({ address, width = 1440, height = 900, dark = false, fresh = true, clock = false }) {
    if (fresh) {
      await context?.close()
      context = await browser.newContext({
        viewport: { width, height }, colorScheme: dark ? 'dark' : 'light', reducedMotion: 'reduce', acceptDownloads: true,
      })
      await context.addInitScript(watch)
      if (clock) await context.clock.install()
      page = await context.newPage()
      page.setDefaultTimeout(15_000)
      page.on('console', (m) => ['error', 'warning'].includes(m.type()) && wrong.push(`console: ${m.text()} (${m.location().url})`))
      page.on('pageerror', (e) => wrong.push(`error: ${e.stack}`))
      page.on('dialog', (d) => (wrong.push(`dialog: ${d.message()}`), d.dismiss()))
      page.on('request', (r) => asked.push(r.url()))
    }
    wrong = []
    asked = []
    await page.goto(address)
  },
  look: async ({ width, height = 900, dark }) => {
    if (width) await page.setViewportSize({ width, height })
    if (dark !== undefined) await page.emulateMedia({ colorScheme: dark ? 'dark' : 'light', reducedMotion: 'reduce' })
  },
  fill: (a) => find(a).fill(a.value),
  click: (a) => find(a).click(),
  choose: (a) => find(a).selectOption(a.value),
  press: ({ key }) => page.keyboard.press(key),
  seen: (a) => find(a).waitFor({ state: 'visible' }),
  gone: (a) => find(a).waitFor({ state: 'hidden' }),
  text: (a) => find(a).innerText(),
  value: (a) => find(a).inputValue(),
  // A policy without eval is no hindrance: what the browser is asked to evaluate from
  // outside is not the page's.
  async until({ script, value }) {
    for (const end = Date.now() + 15_000; !(await run(script, value)); await page.waitForTimeout(50)) {
      if (Date.now() > end) throw new Error(`not within 15 seconds: ${script}`)
    }
  },
  run: ({ script, value }) => run(script, value),
  forward: ({ by }) => page.clock.fastForward(by),
  answer: ({ address, status, body }) => page.route(address, (route) => (status ? route.fulfill({ status, body, contentType: 'application/json', headers: { 'keyshield-operator': '2' } }) : route.abort())),
  unanswer: ({ address }) => page.unroute(address),
  hide: ({ hidden }) => page.evaluate((hidden) => {
    Object.defineProperty(document, 'hidden', { configurable: true, get: () => hidden })
    document.dispatchEvent(new Event('visibilitychange'))
  }, hidden),
  async download(a) {
    const [file] = await Promise.all([page.waitForEvent('download'), find(a).click()])
    return { name: file.suggestedFilename(), text: await readFile(await file.path(), 'utf8') }
  },
  async shot({ path }) {
    await page.screenshot({ path, fullPage: true, animations: 'disabled' })
    return page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth)
  },
  async axe() {
    await page.evaluate(axe)
    const { violations } = await page.evaluate(() => window.axe.run(document, { resultTypes: ['violations'] }))
    return violations.filter((v) => ['serious', 'critical'].includes(v.impact)).flatMap((v) => v.nodes.map((n) => `${v.id}: ${n.target.join(' ')}: ${n.failureSummary}`))
  },
  async report() {
    const broken = await page.evaluate(() => window.broken.splice(0))
    const report = { wrong: [...wrong, ...broken], asked }
    wrong = []
    asked = []
    return report
  },
  keys: async () => (await context.cookies()).map((c) => ({ name: c.name, httpOnly: c.httpOnly, secure: c.secure, sameSite: c.sameSite, path: c.path })),
}

process.stdout.write('{"ready":true}\n')
for await (const line of createInterface({ input: process.stdin })) {
  const act = JSON.parse(line)
  let said
  try {
    said = { value: (await acts[act.do](act)) ?? null }
  } catch (e) {
    const shown = await page?.evaluate(() => document.body.innerText).catch(() => '')
    said = { failed: e.message, shown }
  }
  process.stdout.write(JSON.stringify(said) + '\n')
}
await browser.close()
