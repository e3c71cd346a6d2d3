// Plain fetch, as in the README: no package at all.
import { following } from './shared.mjs'

export default function plainFetch(at) {
  async function ask(body, signal) {
    const response = await fetch(`${at.url}/v1/chat/completions`, {
      method: 'POST',
      headers: { Authorization: `Bearer ${at.token}`, 'Content-Type': 'application/json', ...at.headers },
      body: JSON.stringify({ model: at.model, ...body }),
      signal,
    })
    if (response.ok) return response
    const { error } = await response.json()
    throw Object.assign(new Error(error.message), { status: response.status, error })
  }

  return {
    async answer({ prompt, extra }) {
      const got = await (await ask({ messages: [{ role: 'user', content: prompt }], ...extra })).json()
      return { text: got.choices[0].message.content, finish: got.choices[0].finish_reason, tokens: got.usage.total_tokens }
    },

    stream: ({ prompt, after }) =>
      following(after, async (told, signal) => {
        const response = await ask({ messages: [{ role: 'user', content: prompt }], stream: true }, signal)
        let rest = ''
        for await (const bytes of response.body.pipeThrough(new TextDecoderStream())) {
          const lines = (rest + bytes).split('\n')
          rest = lines.pop()
          for (const line of lines.filter((l) => l.startsWith('data: '))) {
            if (line === 'data: [DONE]') return
            const chunk = JSON.parse(line.slice(6))
            if (chunk.error) throw Object.assign(new Error(chunk.error.message), { error: chunk.error })
            told.say(chunk.choices[0].delta.content)
            told.finish = chunk.choices[0].finish_reason ?? told.finish
          }
        }
        throw new Error('the stream ended without [DONE]')
      }),

    giveUp: ({ prompt, after }) => ask({ messages: [{ role: 'user', content: prompt }] }, AbortSignal.timeout(after)),
  }
}
