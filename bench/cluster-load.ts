/**
 * A program that writes ConfigMaps through one API server and watches them there, whatever happens to the cluster,
 * and tells its parent how long it went without an acknowledgement and whether a watch lost or repeated something.
 * Arguments: the server's URL, its node's data directory, a name for its objects.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { HttpsTransport } from '../src/client/https-transport.ts'

export const WRITERS = 2
export const WATCHES = 10

export type ToLoad = 'begin' | 'report' | 'end'

export interface LoadReport {
  /** The longest time that one writer went without an acknowledgement since `begin`, milliseconds. */
  readonly gapMs: number
  readonly acknowledged: number
  /** What the watches lost, repeated or had out of order, and acknowledged writes that are gone. */
  readonly faults: readonly string[]
}

const ATTEMPT_MS = 1_000
const PAUSE_MS = 5
const SETTLE_MS = 20_000

interface ConfigMap {
  readonly metadata: { readonly name: string; readonly resourceVersion: string }
  readonly data: { readonly n: string }
}

interface WatchLine {
  readonly type: string
  readonly object: ConfigMap
}

const [server = '', dataDir = '', prefix = ''] = process.argv.slice(2)
const read = (name: string) => readFileSync(join(dataDir, 'pki', name), 'utf8')
const transport = new HttpsTransport({
  server,
  caPem: read('cluster-ca.crt'),
  certificatePem: read('admin.crt'),
  keyPem: read('admin.key'),
})
const PATH = '/api/v1/namespaces/default/configmaps'
const ended = new AbortController()
const faults: string[] = []
const acknowledged = new Map<string, number>()
const seen: Map<string, number>[] = []
const lastAt: number[] = []
let gapMs = 0
let count = 0

async function call(method: string, path: string, body?: object): Promise<{ status: number; text: string }> {
  const signal = AbortSignal.any([AbortSignal.timeout(ATTEMPT_MS), ended.signal])
  const response = await transport.request({
    method,
    path,
    signal,
    ...(body && { body: Buffer.from(JSON.stringify(body)), headers: { 'content-type': 'application/json' } }),
  })
  if (response.body instanceof Uint8Array)
    return { status: response.status, text: Buffer.from(response.body).toString() }
  const chunks: Uint8Array[] = []
  for await (const chunk of response.body) chunks.push(chunk)
  return { status: response.status, text: Buffer.concat(chunks).toString() }
}

/** Counts up in one object: from what it holds, after an answer that did not come. */
async function writeOn(writer: number): Promise<void> {
  const name = `${prefix}-${writer}`
  let current: ConfigMap | null = null
  lastAt[writer] = performance.now()
  while (!ended.signal.aborted) {
    try {
      current ??= await readOrCreate(name)
      const n = Number(current.data.n) + 1
      const next = { ...current, data: { n: String(n) } }
      const { status, text } = await call('PUT', `${PATH}/${name}`, next)
      if (status !== 200) throw new Error(text)
      current = JSON.parse(text) as ConfigMap
      acknowledged.set(name, n)
      count++
      note(writer)
    } catch {
      current = null
      await sleep(PAUSE_MS)
    }
  }
}

function note(writer: number): void {
  const now = performance.now()
  gapMs = Math.max(gapMs, now - (lastAt[writer] ?? now))
  lastAt[writer] = now
}

async function readOrCreate(name: string): Promise<ConfigMap> {
  const found = await call('GET', `${PATH}/${name}`)
  if (found.status === 200) return JSON.parse(found.text) as ConfigMap
  if (found.status !== 404) throw new Error(found.text)
  const labels = { load: prefix }
  const body = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name, labels }, data: { n: '0' } }
  const made = await call('POST', PATH, body)
  if (made.status !== 201) throw new Error(made.text)
  return JSON.parse(made.text) as ConfigMap
}

/** Begins where it ended, as informers do. */
async function watchOn(watch: number): Promise<void> {
  const counts = new Map<string, number>()
  seen[watch] = counts
  let from = ''
  while (!ended.signal.aborted) {
    try {
      if (from === '') from = await listInto(counts)
      const query = new URLSearchParams({
        watch: '1',
        resourceVersion: from,
        labelSelector: `load=${prefix}`,
      })
      const response = await transport.request({
        method: 'GET',
        path: `${PATH}?${query}`,
        signal: ended.signal,
      })
      if (response.body instanceof Uint8Array) throw new Error('no stream')
      let rest = ''
      for await (const chunk of response.body) {
        const lines = (rest + Buffer.from(chunk).toString()).split('\n')
        rest = lines.pop() ?? ''
        for (const line of lines) from = take(watch, counts, JSON.parse(line) as WatchLine)
      }
    } catch {
      await sleep(PAUSE_MS)
    }
  }
}

async function listInto(counts: Map<string, number>): Promise<string> {
  const { status, text } = await call('GET', `${PATH}?labelSelector=${encodeURIComponent(`load=${prefix}`)}`)
  if (status !== 200) throw new Error(text)
  const list = JSON.parse(text) as { metadata: { resourceVersion: string }; items: ConfigMap[] }
  for (const { metadata, data } of list.items) counts.set(metadata.name, Number(data.n))
  return list.metadata.resourceVersion
}

function take(watch: number, counts: Map<string, number>, { type, object }: WatchLine): string {
  if (type === 'ERROR') {
    faults.push(`watch ${watch} of ${prefix} ended with ${JSON.stringify(object)}`)
    throw new Error('the watch is over')
  }
  const { name, resourceVersion } = object.metadata
  const before = counts.get(name) ?? -1
  const n = Number(object.data.n)
  if (n !== before + 1)
    faults.push(`watch ${watch} of ${prefix}: ${name} went from ${before} to ${n} at ${resourceVersion}`)
  counts.set(name, n)
  return resourceVersion
}

/** Every watch has to come to know of everything that was acknowledged. */
async function settle(): Promise<void> {
  const lacks = () =>
    seen.flatMap((counts, watch) =>
      [...acknowledged].flatMap(([name, n]) =>
        (counts.get(name) ?? -1) < n ? [`watch ${watch} lacks ${name} ${n}`] : [],
      ),
    )
  const wanted = new Map(acknowledged)
  const end = performance.now() + SETTLE_MS
  const behind = () => seen.some(counts => [...wanted].some(([name, n]) => (counts.get(name) ?? -1) < n))
  while (behind() && performance.now() < end) await sleep(PAUSE_MS)
  if (behind()) faults.push(...lacks())
}

process.on('message', (message: ToLoad) => {
  void handle(message)
})

async function handle(message: ToLoad): Promise<void> {
  if (message === 'end') {
    ended.abort()
    transport.close()
    process.disconnect?.()
    return
  }
  if (message === 'report') {
    for (const writer of lastAt.keys()) note(writer)
    await settle()
    const report: LoadReport = { gapMs, acknowledged: count, faults }
    process.send?.(report)
    return
  }
  gapMs = 0
  for (const writer of lastAt.keys()) lastAt[writer] = performance.now()
}

await Promise.all([
  ...Array.from({ length: WRITERS }, (_, writer) => writeOn(writer)),
  ...Array.from({ length: WATCHES }, (_, watch) => watchOn(watch)),
])
