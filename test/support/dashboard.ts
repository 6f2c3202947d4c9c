/** The dashboard of a test's cluster, by plain requests and in Debian's Chromium. */
import { existsSync, readFileSync } from 'node:fs'
import type { IncomingHttpHeaders } from 'node:http'
import { request } from 'node:https'
import { type Browser, type BrowserContextOptions, chromium, type Page } from 'playwright-core'
import { until } from './until.ts'

const CHROMIUM = '/usr/bin/chromium'

/** A reason to skip, or false. */
export const whyNoChromium = (): string | false => !existsSync(CHROMIUM) && 'chromium is not installed'

export const launchChromium = (): Promise<Browser> =>
  chromium.launch({ executablePath: CHROMIUM, args: ['--no-sandbox', '--disable-dev-shm-usage'] })

export interface Answer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly text: string
}

export interface Asked {
  readonly method?: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string
}

/** Checks the certificate against the authority of the kubeconfig. */
export function callerOf(kubeconfig: string, base: string) {
  const [, data = ''] = /certificate-authority-data: (\S+)/.exec(readFileSync(kubeconfig, 'utf8')) ?? []
  const ca = Buffer.from(data, 'base64')
  return (path: string, { method = 'GET', headers = {}, body }: Asked = {}): Promise<Answer> => {
    const { promise, resolve, reject } = Promise.withResolvers<Answer>()
    const outgoing = request(new URL(path, base), { method, headers, ca, agent: false }, async message => {
      const chunks = await Array.fromAsync(message as AsyncIterable<Buffer>)
      const text = Buffer.concat(chunks).toString('utf8')
      resolve({ status: message.statusCode ?? 0, headers: message.headers, text })
    })
    outgoing.on('error', reject)
    outgoing.end(body)
    return promise
  }
}

export interface Visit {
  readonly page: Page
  /** Violations of the policy, errors of scripts, and requests that left the server. */
  readonly complaints: readonly string[]
  close(): Promise<void>
}

/** Opens the address until the page is there: a browser drops what is under way when the machine's network changes. */
export async function visit(
  browser: Browser,
  address: string,
  { wanted, ...options }: BrowserContextOptions & { readonly wanted: string },
): Promise<Visit> {
  const context = await browser.newContext({ ignoreHTTPSErrors: true, ...options })
  const page = await context.newPage()
  const complaints: string[] = []
  page.on('console', message => {
    if (/Content Security Policy|Trusted/i.test(message.text())) complaints.push(message.text())
  })
  page.on('pageerror', error => complaints.push(error.message))
  page.on('request', asked => {
    const url = new URL(asked.url())
    if (url.protocol !== 'about:' && url.origin !== new URL(address).origin) complaints.push(asked.url())
  })
  await until('the page is there', async () => {
    await page.goto('about:blank')
    await page.goto(address)
    await page.waitForSelector(wanted, { timeout: 10_000 })
    return true
  })
  return { page, complaints, close: () => context.close() }
}

/** Presses Tab until what has the focus says so; everything on the way has to be seen and named. */
export async function tabTo(page: Page, name: RegExp): Promise<void> {
  const passed: string[] = []
  for (let presses = 0; presses < 80; presses++) {
    await page.keyboard.press('Tab')
    const focused = await page.evaluate(readFocus)
    if (focused.problem !== '') throw new Error(`${focused.name}: ${focused.problem}`)
    passed.push(focused.name)
    if (name.test(focused.name)) return
  }
  throw new Error(`Tab never comes to ${name}: ${passed.join(' | ')}`)
}

/** In the browser. */
function readFocus(): { readonly name: string; readonly problem: string } {
  // biome-ignore lint/suspicious/noExplicitAny: this project has no types of the DOM
  const { document, getComputedStyle } = globalThis as any
  const element = document.activeElement
  if (element === document.body) return { name: 'end of the page', problem: '' }
  const label = element.labels?.[0]?.textContent ?? ''
  const name = (element.getAttribute('aria-label') ?? (label || element.textContent)).trim()
  const { width, height } = element.getBoundingClientRect()
  const isRinged = getComputedStyle(element).outlineStyle !== 'none'
  const problem =
    name === '' ? 'has no name' : width * height === 0 ? 'is not seen' : isRinged ? '' : 'has no ring'
  return { name, problem }
}

/** Texts whose contrast with what is behind them is less than AA asks for. */
export const lowContrasts = (page: Page): Promise<string[]> => page.evaluate(readContrasts)

/** In the browser. */
function readContrasts(): string[] {
  // biome-ignore lint/suspicious/noExplicitAny: this project has no types of the DOM
  const { document, getComputedStyle } = globalThis as any
  const context = document.createElement('canvas').getContext('2d', { willReadFrequently: true })
  const parse = (colour: string): number[] => {
    context.clearRect(0, 0, 1, 1)
    context.fillStyle = colour
    context.fillRect(0, 0, 1, 1)
    return [...context.getImageData(0, 0, 1, 1).data]
  }
  const luminance = (colour: number[]) =>
    [0.2126, 0.7152, 0.0722].reduce((sum, weight, at) => {
      const value = (colour[at] ?? 0) / 255
      return sum + weight * (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4)
    }, 0)
  const found: string[] = []
  for (const element of document.querySelectorAll('#app *')) {
    const own = [...element.childNodes].some(node => node.nodeType === 3 && node.textContent.trim() !== '')
    if (!own || element.disabled || element.getClientRects().length === 0) continue
    let behind = element
    while (behind !== null && parse(getComputedStyle(behind).backgroundColor)[3] === 0)
      behind = behind.parentElement
    const { color, fontSize, fontWeight } = getComputedStyle(element)
    const ground = parse(getComputedStyle(behind ?? document.body).backgroundColor)
    const [high = 0, low = 0] = [luminance(parse(color)), luminance(ground)].sort((a, b) => b - a)
    const size = Number.parseFloat(fontSize)
    const least = size >= 24 || (size >= 18.66 && Number(fontWeight) >= 700) ? 3 : 4.5
    const ratio = (high + 0.05) / (low + 0.05)
    if (ratio < least) found.push(`${element.textContent.slice(0, 40)}: ${ratio.toFixed(2)}`)
  }
  return found
}
