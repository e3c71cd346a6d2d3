// LangChain's ChatOpenAI, on both endpoints, and OpenAIEmbeddings.
import { tool } from '@langchain/core/tools'
import { HumanMessage, ToolMessage } from '@langchain/core/messages'
import { ChatOpenAI, OpenAIEmbeddings } from '@langchain/openai'
import { city, forecast, following, person, unpacked } from './shared.mjs'

export const langchainChat = (at) => langchain(at, false)
export const langchainResponses = (at) => langchain(at, true)

function langchain(at, useResponsesApi) {
  const settings = {
    apiKey: at.token,
    maxRetries: at.retries,
    configuration: {
      baseURL: `${at.url}/v1`,
      organization: 'org-of-the-caller',
      project: 'proj-of-the-caller',
      defaultHeaders: at.headers,
      dangerouslyAllowBrowser: true,
    },
  }
  const chat = (extra) => new ChatOpenAI({ model: at.model, ...settings, useResponsesApi, modelKwargs: extra })
  const weather = tool(async (given) => forecast(given), {
    name: 'weather',
    description: 'The weather in a city',
    schema: city,
  })
  const plain = (calls) => calls.map((c) => ({ name: c.name, arguments: c.args }))

  return {
    async answer({ prompt, extra }) {
      const got = await chat(extra).invoke(prompt)
      return { text: got.text, finish: got.response_metadata.finish_reason ?? got.response_metadata.status, tokens: got.usage_metadata.total_tokens }
    },

    async turns({ prompts }) {
      const messages = []
      const texts = []
      for (const prompt of prompts) {
        messages.push(new HumanMessage(prompt))
        const got = await chat().invoke(messages)
        messages.push(got)
        texts.push(got.text)
      }
      return { texts }
    },

    stream: ({ prompt, extra, after }) =>
      following(after, async (told, signal) => {
        for await (const chunk of await chat(extra).stream(prompt, { signal })) {
          told.say(chunk.text)
          told.finish = chunk.response_metadata?.finish_reason ?? chunk.response_metadata?.status ?? told.finish
          told.usage = chunk.usage_metadata?.total_tokens ?? told.usage
        }
      }),

    giveUp: ({ prompt, after }) => chat().invoke(prompt, { signal: AbortSignal.timeout(after) }),

    async tools({ prompt }) {
      const model = chat().bindTools([weather])
      const messages = [new HumanMessage(prompt)]
      const first = await model.invoke(messages)
      messages.push(first)
      for (const c of first.tool_calls) {
        messages.push(new ToolMessage({ tool_call_id: c.id, content: await weather.invoke(c.args) }))
      }
      return { calls: plain(first.tool_calls), text: (await model.invoke(messages)).text }
    },

    async toolStream({ prompt }) {
      let whole
      for await (const chunk of await chat().bindTools([weather]).stream(prompt)) whole = whole ? whole.concat(chunk) : chunk
      return { calls: plain(whole.tool_calls) }
    },

    object: async ({ prompt }) => ({ object: await chat().withStructuredOutput(person, { name: 'person' }).invoke(prompt) }),

    async embed({ texts, format }) {
      const embeddings = new OpenAIEmbeddings({ model: at.embedding, encodingFormat: format, ...settings })
      return { vectors: (await embeddings.embedDocuments(texts)).map(unpacked) }
    },
  }
}
