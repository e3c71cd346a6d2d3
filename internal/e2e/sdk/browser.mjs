// A browser, and what is shown in it.
import { build } from 'esbuild'
import { join } from 'node:path'
import { chromium } from 'playwright-core'

// bundle makes BUNDLE/app.js of an entry file.
export const bundle = (entry) =>
  build({
    entryPoints: [entry],
    outfile: join(process.env.BUNDLE, 'app.js'),
    bundle: true,
    format: 'iife',
    platform: 'browser',
    target: 'es2023',
    jsx: 'automatic',
    keepNames: true, // an error's class is a part of the contract
    define: { 'process.env.NODE_ENV': '"production"' },
    logLevel: 'error',
  })

export const launch = () =>
  chromium.launch({
    executablePath: process.env.CHROMIUM,
    args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
  })
