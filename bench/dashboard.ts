/**
 * The dashboard in Debian's Chromium: from the address to what the first page shows, without anything in the browser's
 * cache, and what 5,000 pods cost it. Medians of RUNS; no peer, so the goals are absolute and want a quiet machine.
 */
import type { Browser, Page } from 'playwright-core'
import { installCluster, type TestCluster } from '../test/support/cluster.ts'
import { launchChromium, visit } from '../test/support/dashboard.ts'
import { type Figure, median } from './figure.ts'

const RUNS = 5
const PODS = 5_000
/** In one call of kubectl. */
const BATCH = 1_000

interface Link {
  readonly url: string
  readonly link: string
}

async function linkOf(cluster: TestCluster): Promise<Link> {
  const { stdout } = await cluster.mk8s(['dashboard', '--json'])
  return JSON.parse(stdout)
}

/** From the navigation until servers, their roles and lag are shown. */
async function firstViewSeconds(browser: Browser, link: string): Promise<number> {
  const context = await browser.newContext({ ignoreHTTPSErrors: true })
  const page = await context.newPage()
  const start = performance.now()
  await page.goto(link)
  await page.getByRole('cell', { name: 'leader, voter' }).waitFor()
  const took = (performance.now() - start) / 1000
  await context.close()
  return took
}

/** Pods that no scheduler looks at. */
async function makePods(cluster: TestCluster): Promise<void> {
  for (let from = 0; from < PODS; from += BATCH) {
    const items = Array.from({ length: BATCH }, (_, at) => ({
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: `pod-${from + at}`, namespace: 'default' },
      spec: { schedulerName: 'nobody', containers: [{ name: 'main', image: 'none' }] },
    }))
    const list = JSON.stringify({ apiVersion: 'v1', kind: 'List', items })
    await cluster.kubectl.ok(['create', '-f', '-'], { input: list })
  }
}

async function blockedMs(page: Page): Promise<number> {
  const longest = await page.evaluate('Math.max(0, ...globalThis.longTasks ?? [])')
  return Number(longest)
}

async function manyPods(browser: Browser, { url, link }: Link): Promise<readonly Figure[]> {
  const { page, close } = await visit(browser, link, { wanted: 'nav.pages' })
  await page.evaluate(
    'globalThis.longTasks = []; new PerformanceObserver(list => { for (const { duration } of list.getEntries()) globalThis.longTasks.push(duration) }).observe({ type: "longtask" })',
  )
  const start = performance.now()
  await page.goto(`${url}#/workloads/pods`)
  await page.getByText(/5,\d+ Pods, live/).waitFor()
  const listed = (performance.now() - start) / 1000
  const typed = performance.now()
  await page.getByRole('searchbox').fill('pod-4999')
  await page.getByText(/^1 of 5,\d+ Pods/).waitFor()
  const filtered = performance.now() - typed
  const longest = await blockedMs(page)
  await close()
  return [
    { figure: `${PODS} pods listed`, us: listed, peer: null, unit: 's', goal: 5 },
    { figure: `${PODS} pods filtered`, us: filtered, peer: null, unit: 'ms', goal: 500 },
    { figure: 'longest the page was blocked meanwhile', us: longest, peer: null, unit: 'ms', goal: 400 },
  ]
}

export async function measure(): Promise<readonly Figure[]> {
  const cluster = await installCluster()
  const browser = await launchChromium()
  try {
    await cluster.mk8s(['enable', 'dashboard'])
    const times: number[] = []
    // A link signs in once.
    for (let run = 0; run < RUNS; run++) {
      times.push(await firstViewSeconds(browser, (await linkOf(cluster)).link))
    }
    const first = { figure: 'dashboard: first view', us: median(times), peer: null, unit: 's', goal: 1 }
    await makePods(cluster)
    return [first, ...(await manyPods(browser, await linkOf(cluster)))]
  } finally {
    await browser.close()
    await cluster.remove()
  }
}
