// openai-node on responses.
import { zodTextFormat } from 'openai/helpers/zod'
import { aside, connect } from './openai-chat.mjs'
import { forecast, following, person, weather } from './shared.mjs'

export default function openaiResponses(at) {
  const client = connect(at)
  const ask = (input, more, options) => client.responses.create({ model: at.model, input, ...more }, options)
  const tools = [{ type: 'function', ...weather }]
  const called = (output) => output.filter((o) => o.type === 'function_call')
  const plain = (calls) => calls.map((c) => ({ name: c.name, arguments: JSON.parse(c.arguments) }))

  return {
    ...aside(client, at),

    async answer({ prompt, extra }) {
      const got = await ask(prompt, extra)
      return { text: got.output_text, finish: got.status, tokens: got.usage.total_tokens }
    },

    // The answer's own items, with their ids, go back as they came.
    async turns({ prompts }) {
      const input = []
      const texts = []
      for (const prompt of prompts) {
        input.push({ role: 'user', content: prompt })
        const got = await ask(input)
        input.push(...got.output)
        texts.push(got.output_text)
      }
      return { texts }
    },

    stream: ({ prompt, extra, after }) =>
      following(after, async (told, signal) => {
        for await (const event of await ask(prompt, { stream: true, ...extra }, { signal })) {
          if (event.type === 'response.output_text.delta') told.say(event.delta)
          if (event.type === 'response.failed') throw new Error(event.response.error.message)
          if (event.type === 'response.completed') {
            told.finish = event.response.status
            told.usage = event.response.usage.total_tokens
          }
        }
      }),

    giveUp: ({ prompt, after }) => ask(prompt, {}, { signal: AbortSignal.timeout(after) }),

    async tools({ prompt }) {
      const input = [{ role: 'user', content: prompt }]
      const first = await ask(input, { tools })
      input.push(...first.output)
      const calls = called(first.output)
      for (const c of calls) {
        input.push({ type: 'function_call_output', call_id: c.call_id, output: forecast(JSON.parse(c.arguments)) })
      }
      const last = await ask(input, { tools })
      return { calls: plain(calls), text: last.output_text }
    },

    // The arguments arrive in pieces, which the SDK puts together.
    async toolStream({ prompt }) {
      const stream = client.responses.stream({ model: at.model, input: prompt, tools })
      return { calls: plain(called((await stream.finalResponse()).output)) }
    },

    async custom({ prompt }) {
      const input = [{ role: 'user', content: prompt }]
      const tools = [{ type: 'custom', name: 'note', description: 'Writes a note' }]
      const first = await ask(input, { tools })
      input.push(...first.output)
      const calls = first.output.filter((o) => o.type === 'custom_tool_call')
      for (const c of calls) input.push({ type: 'custom_tool_call_output', call_id: c.call_id, output: 'written' })
      return { texts: calls.map((c) => c.input), text: (await ask(input, { tools })).output_text }
    },

    async object({ prompt }) {
      const got = await client.responses.parse({
        model: at.model,
        input: prompt,
        text: { format: zodTextFormat(person, 'person') },
      })
      return { object: got.output_parsed }
    },
  }
}
