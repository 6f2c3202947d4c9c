/**
 * The load client of the `api` benchmark, a process of its own: makes requests over TLS with a client certificate
 * and tells its parent how long they took. One order at a time, over IPC.
 */
import { type Connection, type Endpoint, openConnection, opened } from './api-connection.ts'

/** What the parent asks for. */
export type Order =
  | {
      readonly kind: 'creates'
      readonly what: 'configmap' | 'pod'
      readonly clients: number
      readonly count: number
      readonly prefix: string
    }
  | { readonly kind: 'gets'; readonly path: string; readonly clients: number; readonly count: number }
  | { readonly kind: 'lists'; readonly path: string; readonly headers: string; readonly count: number }
  /** Watchers over ConfigMaps of the namespace `default`, which stay. */
  | { readonly kind: 'open-watches'; readonly watchers: number }
  /** One writer, whom they watch; rate 0: flat out. */
  | { readonly kind: 'watches'; readonly perSecond: number; readonly writes: number }
  /** Creates of ConfigMaps without end, until `end`. */
  | { readonly kind: 'flood'; readonly what: 'configmap' | 'get' | 'list'; readonly clients: number }
  | { readonly kind: 'end' }

export interface Outcome {
  readonly requests: number
  readonly seconds: number
  readonly p50Ms: number
  readonly p99Ms: number
  /** Bytes of the last answer, or events delivered. */
  readonly amount: number
}

const CREATED = 201
const OK = 200
const MAPS = '/api/v1/namespaces/default/configmaps'
const PODS = '/api/v1/namespaces/default/pods'
const VALUE = 'v'.repeat(1_024)

const configMap = (name: string): string =>
  `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"${name}"},"data":{"value":"${VALUE}"}}`

/** About 2 KiB once it is stored; nobody schedules it, so that only the API works for it. */
const pod = (name: string): string =>
  JSON.stringify({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, labels: { app: 'load', tier: 'bench' } },
    spec: {
      schedulerName: 'nobody',
      containers: ['main', 'side'].map(container => ({
        name: container,
        image: `registry.example/${container}:1.0`,
        env: [{ name: 'LEVEL', value: 'info' }],
        ports: [{ containerPort: container === 'main' ? 8080 : 9090 }],
        resources: { requests: { cpu: '10m', memory: '16Mi' }, limits: { memory: '64Mi' } },
      })),
    },
  })

const bodies = { configmap: configMap, pod }
const paths = { configmap: MAPS, pod: PODS }

async function timed(
  clients: readonly Connection[],
  count: number,
  call: (client: Connection, number: number) => Promise<unknown>,
): Promise<{ took: number[]; seconds: number }> {
  const took: number[] = []
  let next = 0
  const begun = performance.now()
  const work = async (client: Connection) => {
    while (next < count) {
      const number = next++
      const start = performance.now()
      await call(client, number)
      took.push(performance.now() - start)
    }
  }
  await Promise.all(clients.map(work))
  return { took, seconds: (performance.now() - begun) / 1000 }
}

function outcome(took: number[], seconds: number, amount: number): Outcome {
  const sorted = took.sort((a, b) => a - b)
  const at = (share: number) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0
  return { requests: took.length, seconds, p50Ms: at(0.5), p99Ms: at(0.99), amount }
}

async function withClients<T>(
  endpoint: Endpoint,
  count: number,
  work: (clients: Connection[]) => Promise<T>,
): Promise<T> {
  const clients = await Promise.all(Array.from({ length: count }, () => openConnection(endpoint)))
  try {
    return await work(clients)
  } finally {
    for (const client of clients) client.close()
  }
}

async function expect(status: number, answer: Promise<{ status: number; body: Buffer }>): Promise<Buffer> {
  const got = await answer
  if (got.status !== status) throw new Error(`${got.status}: ${got.body.toString('utf8', 0, 500)}`)
  return got.body
}

async function carryOut(endpoint: Endpoint, order: Exclude<Order, { kind: 'end' }>): Promise<Outcome | null> {
  switch (order.kind) {
    case 'creates':
      return await withClients(endpoint, order.clients, async clients => {
        const make = bodies[order.what]
        const { took, seconds } = await timed(clients, order.count, (client, number) =>
          expect(CREATED, client.request('POST', paths[order.what], make(`${order.prefix}-${number}`))),
        )
        return outcome(took, seconds, 0)
      })
    case 'gets':
      return await withClients(endpoint, order.clients, async clients => {
        const { took, seconds } = await timed(clients, order.count, client =>
          expect(OK, client.request('GET', order.path)),
        )
        return outcome(took, seconds, 0)
      })
    case 'lists':
      return await withClients(endpoint, 1, async clients => {
        let bytes = 0
        const { took, seconds } = await timed(clients, order.count, async client => {
          bytes = (await expect(OK, client.request('GET', order.path, '', order.headers))).length
        })
        return outcome(took, seconds, bytes)
      })
    case 'open-watches':
      watching = await openWatches(endpoint, order.watchers)
      return null
    case 'watches':
      if (watching === null) throw new Error('no watches are open')
      return await writeWatched(watching, order)
    case 'flood':
      void flood(endpoint, order)
      return null
  }
}

/** Watchers, and the object that they see change. */
interface Watching {
  readonly writer: Connection
  readonly name: string
  readonly watchers: number
  /** Called by each watcher for each event, with the moment when its write was sent. */
  onEvent: (sent: number, now: number) => void
}

let watching: Watching | null = null

async function openWatches(endpoint: Endpoint, watchers: number): Promise<Watching> {
  const writer = await openConnection(endpoint)
  const name = `watched-${process.pid}-${Date.now()}`
  await expect(CREATED, writer.request('POST', MAPS, configMap(name)))
  const listed = JSON.parse((await expect(OK, writer.request('GET', `${MAPS}?limit=1`))).toString()) as {
    metadata: { resourceVersion: string }
  }
  const watched: Watching = { writer, name, watchers, onEvent: () => {} }
  const from = `${MAPS}?watch=1&resourceVersion=${listed.metadata.resourceVersion}`
  await Promise.all(Array.from({ length: watchers }, () => openWatch(endpoint, from, watched)))
  return watched
}

async function openWatch(endpoint: Endpoint, path: string, tell: Watching): Promise<void> {
  const socket = await opened(endpoint)
  const ready = heads(socket)
  socket.write(`GET ${path} HTTP/1.1\r\nhost: ${endpoint.host}\r\n\r\n`)
  await ready
  let rest = ''
  socket.on('data', (piece: Buffer) => {
    const text = rest + piece.toString('latin1')
    const now = performance.now()
    let at = 0
    for (;;) {
      const found = text.indexOf('"sent":"', at)
      const end = found < 0 ? -1 : text.indexOf('"', found + 8)
      if (end < 0) break
      tell.onEvent(Number(text.slice(found + 8, end)), now)
      at = end
    }
    rest = text.slice(Math.max(at, text.length - 40))
  })
}

/** From the moment when the write is sent to the moment when a watcher holds the event, of all watchers. */
async function writeWatched(
  watched: Watching,
  { perSecond, writes }: Extract<Order, { kind: 'watches' }>,
): Promise<Outcome> {
  const { writer, name, watchers } = watched
  const took: number[] = []
  const expected = watchers * writes
  const all = Promise.withResolvers<void>()
  watched.onEvent = (sent, now) => {
    took.push(now - sent)
    if (took.length === expected) all.resolve()
  }
  const start = performance.now()
  for (let number = 0; number < writes; number++) {
    const due = perSecond === 0 ? 0 : start + (number * 1000) / perSecond - performance.now()
    if (due > 0) await new Promise(resolve => setTimeout(resolve, due))
    const body = `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"${name}"},"data":{"sent":"${performance.now().toFixed(3)}"}}`
    await expect(OK, writer.request('PUT', `${MAPS}/${name}`, body))
  }
  await all.promise
  return outcome(took, (performance.now() - start) / 1000, expected)
}

/** Resolves with the head of the answer, behind which events come. */
function heads(socket: import('node:tls').TLSSocket): Promise<void> {
  return new Promise((resolve, reject) => {
    const look = (piece: Buffer) => {
      if (!piece.includes('\r\n\r\n')) return
      socket.off('data', look)
      if (piece.toString('latin1', 9, 12) === '200') resolve()
      else reject(new Error(piece.toString()))
    }
    socket.on('data', look)
    socket.on('error', reject)
  })
}

async function flood(
  endpoint: Endpoint,
  { clients, what }: Extract<Order, { kind: 'flood' }>,
): Promise<void> {
  let number = 0
  const run = `flood-${what}-${process.pid}`
  const call = {
    configmap: (client: Connection) => client.request('POST', MAPS, configMap(`${run}-${number++}`)),
    get: (client: Connection) => client.request('GET', `${PODS}?limit=1`),
    list: (client: Connection) => client.request('GET', `${PODS}?resourceVersion=0`),
  }[what]
  await withClients(endpoint, clients, all =>
    Promise.all(
      all.map(async client => {
        for (;;) await call(client)
      }),
    ),
  )
}

let endpoint: Endpoint | null = null
process.on('message', (message: Order | Endpoint) => {
  if ('host' in message) endpoint = message
  else if (message.kind === 'end') process.exit(0)
  else if (endpoint !== null) {
    carryOut(endpoint, message).then(
      result => process.send?.(result ?? 'begun'),
      (error: unknown) => {
        process.stderr.write(`${String(error)}\n`)
        process.exit(1)
      },
    )
  }
})
