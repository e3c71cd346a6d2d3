// Vercel's AI SDK with the three providers that reach an OpenAI-compatible API.
import { createOpenAI } from '@ai-sdk/openai'
import { createOpenAICompatible } from '@ai-sdk/openai-compatible'
import { embed, generateText, isStepCount, Output, streamText, tool } from 'ai'
import { city, forecast, following, person } from './shared.mjs'

globalThis.AI_SDK_LOG_WARNINGS = false

const openai = (at) =>
  createOpenAI({
    baseURL: `${at.url}/v1`,
    apiKey: at.token,
    organization: 'org-of-the-caller',
    project: 'proj-of-the-caller',
    headers: at.headers,
  })

// Without store: false the second turn refers to what OpenAI has stored.
export const aiResponses = (at) => {
  const provider = openai(at)
  return using(at, provider(at.model), provider.embedding(at.embedding), (extra) => ({ openai: { store: false, ...extra } }))
}

export const aiChat = (at) => {
  const provider = openai(at)
  return using(at, provider.chat(at.model), provider.embedding(at.embedding), (extra) => ({ openai: { ...extra } }))
}

export const aiCompatible = (at) => {
  const provider = createOpenAICompatible({
    name: 'keyshield',
    baseURL: `${at.url}/v1`,
    apiKey: at.token,
    headers: at.headers,
    includeUsage: at.usage,
    supportsStructuredOutputs: true,
  })
  return using(at, provider(at.model), provider.embeddingModel(at.embedding), (extra) => ({ keyshield: { ...extra } }))
}

function using(at, model, embedding, optionsFor) {
  const settings = ({ extra }) => ({ model, maxRetries: at.retries, providerOptions: optionsFor(extra) })
  const tools = {
    weather: tool({ description: 'The weather in a city', inputSchema: city, execute: async (given) => forecast(given) }),
  }
  const calls = (steps) =>
    steps.flatMap((s) => s.toolCalls).map((c) => ({ name: c.toolName, arguments: c.input }))

  return {
    async answer(call) {
      const got = await generateText({ ...settings(call), prompt: call.prompt })
      return { text: got.text, finish: got.finishReason, tokens: got.usage.totalTokens }
    },

    async turns(call) {
      const messages = []
      const texts = []
      for (const prompt of call.prompts) {
        messages.push({ role: 'user', content: prompt })
        const got = await generateText({ ...settings(call), messages })
        messages.push(...got.response.messages)
        texts.push(got.text)
      }
      return { texts }
    },

    stream: (call) =>
      following(call.after, async (told, abortSignal) => {
        const got = streamText({ ...settings(call), prompt: call.prompt, abortSignal, onError() {} })
        for await (const part of got.fullStream) {
          if (part.type === 'text-delta') told.say(part.text)
          if (part.type === 'error') throw part.error
          if (part.type === 'finish') {
            told.finish = part.finishReason
            told.usage = part.totalUsage.totalTokens
          }
        }
      }),

    giveUp: (call) => generateText({ ...settings(call), prompt: call.prompt, abortSignal: AbortSignal.timeout(call.after) }),

    async tools(call) {
      const got = await generateText({ ...settings(call), prompt: call.prompt, tools, stopWhen: isStepCount(3) })
      return { calls: calls(got.steps), text: got.text }
    },

    async toolStream(call) {
      const got = streamText({ ...settings(call), prompt: call.prompt, tools, onError() {} })
      return { calls: calls(await got.steps) }
    },

    async object(call) {
      const got = await generateText({ ...settings(call), prompt: call.prompt, output: Output.object({ schema: person, name: 'person' }) })
      return { object: got.output }
    },

    async embed({ texts }) {
      const vectors = []
      for (const value of texts) vectors.push((await embed({ model: embedding, value, maxRetries: at.retries })).embedding)
      return { vectors }
    },
  }
}
