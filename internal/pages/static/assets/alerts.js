// Where alerts go to, whether they arrive, and a test.

import { h, say, rows, table, cell, figure, button } from './dom.js'
import { post } from './api.js'
import { count, milliseconds, plural, time } from './format.js'

export function alertsCard(ctx) {
  const list = table('Where alerts go to', ['Receiver', 'State', 'Last sent', '#Sent', '#Waiting', '#Given up'])
  const none = h('p', { class: 'muted' }, 'Nobody is told when something goes wrong: set ALERT_SLACK_URL, ALERT_WEBHOOK_URL or ALERT_EMAIL_TO.')
  const said = h('p', { role: 'status' })
  const test = button('Send a test', () => send(said, ctx), { class: 'small quiet' })
  const node = h('article', {}, h('div', { class: 'between' }, h('h2', {}, 'Alerts'), test), said, list.node, none)
  return {
    node,
    update(o) {
      test.hidden = list.node.hidden = o.alerts.length === 0
      none.hidden = o.alerts.length > 0
      rows(list.body, o.alerts, (a) => a.receiver + (a.address ?? ''), (a) => [
        h('th', { scope: 'row' }, a.receiver, a.address && h('small', { class: 'muted block name' }, a.address)),
        h('td', {}, h('span', { class: `state ${a.ok ? 'fine' : 'bad'}` }, a.ok ? 'works' : a.why || 'fails'), a.failing_since && h('small', { class: 'muted block' }, 'since ', time(a.failing_since))),
        cell(a.last_sent ? time(a.last_sent) : 'never'), figure(count(a.sent)), figure(count(a.pending)), figure(count(a.dropped)),
      ])
    },
  }
}

async function send(said, ctx) {
  say(said, 'Sending…')
  try {
    const { alerts } = await post('alerts/test')
    const failed = alerts.filter((a) => !a.ok)
    say(said, failed.length === 0
      ? `The test arrived: ${alerts.map((a) => `${a.receiver} in ${milliseconds(a.took_ms ?? 0)}`).join(', ')}.`
      : `${plural(failed.length, 'receiver')} did not take it: ${failed.map((a) => `${a.receiver} (${a.why})`).join('; ')}`)
    ctx.look()
  } catch (error) {
    say(said, error.message)
    ctx.problem(error)
  }
}
