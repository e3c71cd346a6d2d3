// Reads server-sent events, as the HTML standard says (§9.2.6).

// events yields { event, data } of a response's body.
export async function* events(body) {
  let event = 'message'
  let data = []
  for await (const line of lines(body)) {
    if (line === '') {
      if (data.length > 0) yield { event, data: data.join('\n') }
      event = 'message'
      data = []
      continue
    }
    const [, field, value] = /^([^:]*)(?:: ?(.*))?$/s.exec(line)
    if (field === 'event') event = value ?? ''
    if (field === 'data') data.push(value ?? '')
  }
}

// lines yields whole ones. What ends without a line break was cut off, and is dropped.
async function* lines(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader()
  let rest = ''
  try {
    for (;;) {
      const { value, done } = await reader.read()
      if (done) return
      rest += value
      // A carriage return at the end may be the first half of a line break.
      const held = rest.endsWith('\r') ? 1 : 0
      const parts = rest.slice(0, rest.length - held).split(/\r\n|\n|\r/)
      rest = parts.pop() + rest.slice(rest.length - held)
      yield* parts
    }
  } finally {
    reader.cancel().catch(() => {})
  }
}
