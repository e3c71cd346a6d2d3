// An application with no server of its own: the hooks of @ai-sdk/react, given an
// address and a user's token. The page's query says which hook and protocol.
import { useChat, useCompletion } from '@ai-sdk/react'
import { DefaultChatTransport, TextStreamChatTransport } from 'ai'
import { useEffect } from 'react'
import { createRoot } from 'react-dom/client'

const { hook, protocol, api, token } = Object.fromEntries(new URLSearchParams(location.search))
const plain = protocol === 'text'
const headers = { Authorization: `Bearer ${token}` }
const path = (name) => `${api}/api/${name}${plain ? '?protocol=text' : ''}`

const Transport = plain ? TextStreamChatTransport : DefaultChatTransport
const transport = new Transport({ api: path('chat'), headers })

// What a person would see, for the test to wait for.
window.statuses = []
window.lengths = []

function Page({ status, error, messages, send, stop, regenerate }) {
  const said = messages.filter((m) => m.role === 'assistant').at(-1)?.text ?? ''
  useEffect(() => void window.statuses.push(status), [status])
  useEffect(() => void window.lengths.push(said.length), [said])
  return (
    <>
      <ol>{messages.map((m, i) => <li key={i} data-role={m.role}>{m.text}</li>)}</ol>
      <output>{status}</output>
      {error && <p role="alert">{error.message}</p>}
      <form onSubmit={(e) => { e.preventDefault(); send(new FormData(e.target).get('prompt')); e.target.reset() }}>
        <input name="prompt" autoComplete="off" />
        <button>Send</button>
      </form>
      <button onClick={stop}>Stop</button>
      {regenerate && <button onClick={() => regenerate()}>Again</button>}
    </>
  )
}

function Chat() {
  const chat = useChat({ transport })
  const messages = chat.messages.map((m) => ({
    role: m.role,
    text: m.parts.filter((p) => p.type === 'text').map((p) => p.text).join(''),
  }))
  return <Page {...chat} messages={messages} send={(text) => chat.sendMessage({ text })} />
}

function Completion() {
  const { completion, complete, isLoading, stop, error } = useCompletion({
    api: path('completion'),
    headers,
    streamProtocol: plain ? 'text' : 'data',
  })
  const status = isLoading ? 'streaming' : error ? 'error' : 'ready'
  const messages = completion ? [{ role: 'assistant', text: completion }] : []
  return <Page {...{ status, error, messages, stop }} send={complete} />
}

createRoot(document.querySelector('main')).render(hook === 'chat' ? <Chat /> : <Completion />)
