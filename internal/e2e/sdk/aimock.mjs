// Another's OpenAI, with the answers that aimock_test.go asks for. It writes
// where it is and serves until its standard input ends.
import { LLMock } from '@copilotkit/aimock'

const mock = new LLMock({ port: 0, host: '127.0.0.1', latency: 5, chunkSize: 6, strict: true })
mock.onMessage('How are you?', { content: 'All is well.' })
mock.onMessage('story', { content: 'Once upon a time there was a key that never left its server.' })
mock.on({ userMessage: 'weather', hasToolResult: false }, { toolCalls: [{ name: 'weather', arguments: '{"city":"São Paulo"}' }] })
mock.on({ userMessage: 'weather', hasToolResult: true, toolResultContains: 'clear' }, { content: 'The sky over São Paulo is clear.' })
mock.onMessage('programmer', { content: JSON.stringify({ name: 'Ada', age: 36, tags: ['poet', 'engine'] }) })
mock.onEmbedding('key', { embedding: Array.from({ length: 256 }, (_, i) => Math.sin(1 + i)) })

await mock.start()
process.stdout.write(JSON.stringify({ url: mock.url }) + '\n')
process.stdin.resume()
process.stdin.on('end', async () => {
  await mock.stop()
})
