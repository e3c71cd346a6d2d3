// openai-node on chat completions.
import OpenAI from 'openai'
import { zodResponseFormat } from 'openai/helpers/zod'
import { forecast, following, person, unpacked, weather } from './shared.mjs'

export const connect = (at) =>
  new OpenAI({
    baseURL: `${at.url}/v1`,
    apiKey: at.token,
    maxRetries: at.retries,
    // What an application might carry along, and the provider must never see.
    organization: 'org-of-the-caller',
    project: 'proj-of-the-caller',
    defaultHeaders: at.headers,
    dangerouslyAllowBrowser: true, // the key is a user's token: made to be in a browser
  })

export default function openaiChat(at) {
  const client = connect(at)
  const ask = (messages, more, options) =>
    client.chat.completions.create({ model: at.model, messages, ...more }, options)
  const user = (content) => ({ role: 'user', content })

  return {
    ...aside(client, at),

    async answer({ prompt, extra }) {
      const got = await ask([user(prompt)], extra)
      return { text: got.choices[0].message.content, finish: got.choices[0].finish_reason, tokens: got.usage.total_tokens }
    },

    async turns({ prompts }) {
      const messages = []
      for (const prompt of prompts) {
        messages.push(user(prompt))
        messages.push((await ask(messages)).choices[0].message)
      }
      return { texts: messages.filter((m) => m.role === 'assistant').map((m) => m.content) }
    },

    stream: ({ prompt, extra, after }) =>
      following(after, async (told, signal) => {
        for await (const chunk of await ask([user(prompt)], { stream: true, ...extra }, { signal })) {
          if (chunk.usage) told.usage = chunk.usage.total_tokens
          if (chunk.usage && extra?.stream_options?.include_usage) continue
          // As applications do it: a chunk without choices crashes here.
          told.say(chunk.choices[0].delta.content)
          told.finish = chunk.choices[0].finish_reason ?? told.finish
        }
      }),

    giveUp: ({ prompt, after }) => ask([user(prompt)], {}, { signal: AbortSignal.timeout(after) }),

    async tools({ prompt }) {
      const messages = [user(prompt)]
      const tools = [{ type: 'function', function: weather }]
      const first = (await ask(messages, { tools })).choices[0].message
      messages.push(first)
      const calls = first.tool_calls.map((c) => ({ name: c.function.name, arguments: JSON.parse(c.function.arguments) }))
      for (const c of first.tool_calls) {
        messages.push({ role: 'tool', tool_call_id: c.id, content: forecast(JSON.parse(c.function.arguments)) })
      }
      const last = await ask(messages, { tools })
      return { calls, text: last.choices[0].message.content }
    },

    // The arguments arrive in pieces, which the SDK puts together.
    async toolStream({ prompt }) {
      const tools = [{ type: 'function', function: weather }]
      const stream = client.chat.completions.stream({ model: at.model, messages: [user(prompt)], tools })
      const got = (await stream.finalChatCompletion()).choices[0].message
      return { calls: got.tool_calls.map((c) => ({ name: c.function.name, arguments: JSON.parse(c.function.arguments) })) }
    },

    async custom({ prompt }) {
      const messages = [user(prompt)]
      const tools = [{ type: 'custom', custom: { name: 'note', description: 'Writes a note' } }]
      const first = (await ask(messages, { tools })).choices[0].message
      messages.push(first)
      for (const c of first.tool_calls) messages.push({ role: 'tool', tool_call_id: c.id, content: 'written' })
      const last = await ask(messages, { tools })
      return { texts: first.tool_calls.map((c) => c.custom.input), text: last.choices[0].message.content }
    },

    async object({ prompt }) {
      const got = await client.chat.completions.parse({
        model: at.model,
        messages: [user(prompt)],
        response_format: zodResponseFormat(person, 'person'),
      })
      return { object: got.choices[0].message.parsed }
    },
  }
}

// aside is what both of the package's ways to ask have beside them.
export const aside = (client, at) => ({
  async embed({ texts, format }) {
    const got = await client.embeddings.create({ model: at.embedding, input: texts, encoding_format: format })
    return { vectors: got.data.map((d) => unpacked(d.embedding)) }
  },

  async models() {
    const ids = []
    for await (const m of client.models.list()) ids.push(m.id)
    return { ids }
  },

  model: async ({ id }) => ({ ids: [(await client.models.retrieve(id)).id] }),

  async moderate({ prompt }) {
    const got = await client.moderations.create({ model: at.moderation, input: prompt })
    return { flagged: got.results.map((r) => r.flagged) }
  },
})
