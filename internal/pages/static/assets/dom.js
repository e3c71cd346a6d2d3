// Makes elements. Whatever comes from the server goes through here and becomes a text
// node or an attribute's value, never markup.

// Attributes that could run something, or load it.
const refused = /^(on|style$|src)/i

// h makes an element: h('a', { href: '#/now' }, 'Now'). An attribute that is false,
// null or undefined is left out; a child of that kind, too.
export function h(tag, attributes, ...children) {
  const node = document.createElement(tag)
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === false || value === null || value === undefined) continue
    if (refused.test(name)) throw new TypeError(`an element is not given ${name}`)
    // A link leads into our own pages: "javascript:…" is no place of ours.
    if (name === 'href' && !/^(#|\/(?!\/))/.test(value)) throw new TypeError('a link leads elsewhere')
    node.setAttribute(name, value === true ? '' : String(value))
  }
  node.append(...kept(children))
  return node
}

const kept = (children) => children.flat(3).filter((c) => c !== null && c !== undefined && c !== false)

export const $ = (id) => document.getElementById(id)

// say shows a text where another stood, and touches nothing when it is the same: a
// screen reader reads what changes, and a selection stays.
export function say(node, text) {
  const next = String(text ?? '')
  if (node.textContent !== next) node.textContent = next
}

// fill puts other children into a node, unless they were made of the same.
const made = new WeakMap()
export function fill(node, of, make) {
  const text = JSON.stringify(of ?? null)
  if (made.get(node) === text) return
  made.set(node, text)
  node.replaceChildren(...kept([make(of)]))
}

// rows shows a list in a table's body. A row whose item is the same stays as it is;
// one that changes keeps the focus where it was.
const items = new WeakMap()
export function rows(body, list, keyOf, cellsOf) {
  const known = new Map([...body.children].map((row) => [row.dataset.key, row]))
  const focused = body.contains(document.activeElement) ? document.activeElement : null
  const place = focused && { key: focused.closest('tr')?.dataset.key, control: focused.dataset.control }
  const all = list.map((item) => {
    const key = String(keyOf(item))
    const text = JSON.stringify(item)
    const row = known.get(key)
    if (row && items.get(row) === text) return row
    const next = h('tr', { 'data-key': key }, cellsOf(item))
    items.set(next, text)
    return next
  })
  const same = all.length === body.children.length && all.every((row, i) => row === body.children[i])
  if (same) return
  body.replaceChildren(...all)
  if (!place?.control) return
  const row = all.find((r) => r.dataset.key === place.key)
  row?.querySelector(`[data-control="${CSS.escape(place.control)}"]`)?.focus()
}

export const cell = (...children) => h('td', {}, ...children)
export const figure = (...children) => h('td', { class: 'number' }, ...children)

// table makes one that scrolls sideways by itself on a small screen.
export function table(caption, heads, body = h('tbody')) {
  const head = h('tr', {}, heads.map((x) => (x instanceof Node ? x : h('th', { scope: 'col', class: x.startsWith('#') && 'number' }, x.replace(/^#/, '')))))
  const node = h('table', {}, h('caption', { class: 'unseen' }, caption), h('thead', {}, head), body)
  return { body, node: h('div', { class: 'scroll', tabindex: '0', role: 'region', 'aria-label': caption }, node) }
}

// button makes one that does something, once at a time. It is not disabled meanwhile,
// since that would take the focus away.
export function button(text, act, attributes) {
  const node = h('button', { type: 'button', ...attributes }, text)
  node.addEventListener('click', async () => {
    if (node.ariaBusy === 'true') return
    node.ariaBusy = 'true'
    try {
      await act()
    } finally {
      node.ariaBusy = null
    }
  })
  return node
}

// copier copies what text says at that time.
export function copier(text, attributes) {
  const node = h('button', { type: 'button', class: 'small quiet', ...attributes }, 'Copy')
  node.addEventListener('click', async () => {
    let done = 'Copied'
    try {
      await navigator.clipboard.writeText(text())
    } catch {
      done = 'Not allowed: select it and copy it by hand'
    }
    say(node, done)
    setTimeout(() => say(node, 'Copy'), 2000)
  })
  return node
}
