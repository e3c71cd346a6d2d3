// The same in a page: the test opens one and calls window.ask.
import { sdks } from './all.mjs'
import { ask } from './shared.mjs'

window.ask = (call) => ask(sdks, call)
