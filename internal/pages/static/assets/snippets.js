// The calls that a visitor can copy. What was typed into the page ends in a string of
// the language at hand, so it is quoted by that language's rules.

const shell = (text) => `'${text.replaceAll("'", `'\\''`)}'`
const js = (text) => JSON.stringify(text).replaceAll('\u2028', '\\u2028').replaceAll('\u2029', '\\u2029')

// snippets are the tabs: what they are called, which endpoint they need, and the code.
export const snippets = [
  { name: 'curl', needs: 'text', code: curl },
  { name: 'fetch', needs: 'text', code: fetching },
  { name: 'openai-node', needs: 'chat', code: openai },
  { name: 'Vercel AI SDK', needs: 'chat', code: vercel },
]

function curl({ url, token, prompt, stream }) {
  const body = JSON.stringify(stream ? { userPrompt: prompt, stream: true } : { userPrompt: prompt })
  return [
    `curl ${stream ? '-N ' : ''}${shell(url + '/api/generate-text')} \\`,
    `  -H ${shell(`Authorization: Bearer ${token}`)} \\`,
    `  -H 'Content-Type: application/json' \\`,
    `  -d ${shell(body)}`,
  ].join('\n')
}

function fetching({ url, token, prompt, stream }) {
  const call = (accept) => `const res = await fetch(${js(url + '/api/generate-text')}, {
  method: "POST",
  headers: {
    Authorization: ${js(`Bearer ${token}`)},
    "Content-Type": "application/json",${accept}
  },
  body: JSON.stringify({ userPrompt: ${js(prompt)}${stream ? ', stream: true' : ''} }),
});
if (!res.ok) throw new Error((await res.json()).error);`
  if (!stream) return `${call('')}\nconsole.log((await res.json()).result);`
  return `${call('\n    Accept: "text/plain",')}
const reader = res.body.pipeThrough(new TextDecoderStream()).getReader();
for (let part = await reader.read(); !part.done; part = await reader.read()) {
  console.log(part.value);
}`
}

function openai({ url, token, prompt, stream, model }) {
  const ask = `{
  model: ${js(model)},
  messages: [{ role: "user", content: ${js(prompt)} }],${stream ? '\n  stream: true,' : ''}
}`
  return `import OpenAI from "openai";

const openai = new OpenAI({
  baseURL: ${js(url + '/v1')},
  apiKey: ${js(token)}, // the user's token
});
${stream ? 'const stream' : 'const answer'} = await openai.chat.completions.create(${ask});
${stream
    ? 'for await (const chunk of stream) console.log(chunk.choices[0]?.delta?.content ?? "");'
    : 'console.log(answer.choices[0].message.content);'}`
}

function vercel({ url, token, prompt, stream, model }) {
  const ask = `{ model: openai.chat(${js(model)}), prompt: ${js(prompt)} }`
  return `import { createOpenAI } from "@ai-sdk/openai";
import { ${stream ? 'streamText' : 'generateText'} } from "ai";

const openai = createOpenAI({
  baseURL: ${js(url + '/v1')},
  apiKey: ${js(token)}, // the user's token
});
${stream
    ? `const { textStream } = streamText(${ask});\nfor await (const text of textStream) console.log(text);`
    : `const { text } = await generateText(${ask});\nconsole.log(text);`}`
}
