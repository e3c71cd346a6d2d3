// Every SDK by the name under which the Go tests know it.
import { aiChat, aiCompatible, aiResponses } from './ai.mjs'
import plainFetch from './fetch.mjs'
import { langchainChat, langchainResponses } from './langchain.mjs'
import openaiChat from './openai-chat.mjs'
import openaiResponses from './openai-responses.mjs'

export const sdks = {
  'openai chat': openaiChat,
  'openai responses': openaiResponses,
  'ai responses': aiResponses,
  'ai chat': aiChat,
  'ai compatible': aiCompatible,
  'langchain chat': langchainChat,
  'langchain responses': langchainResponses,
  fetch: plainFetch,
}
