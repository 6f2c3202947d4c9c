import assert from 'node:assert/strict'
import { test } from 'node:test'
import { silentLog } from '../../../src/base/log.ts'
import { seededRandom } from '../../../src/base/random.ts'
import { Informer } from '../../../src/client/informer.ts'
import { KubeClient } from '../../../src/client/kube-client.ts'
import { PODS } from '../../../src/client/resources.ts'
import type { KubeRequest, KubeResponse, Transport } from '../../../src/client/transport.ts'
import type { KubeObject } from '../../../src/kube/object.ts'
import { ManualClock } from '../../support/manual-clock.ts'

const pod = (name: string, resourceVersion: number, labels: Record<string, string> = {}) => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name, namespace: 'default', uid: name, resourceVersion: String(resourceVersion), labels },
})

const json = (status: number, body: unknown): KubeResponse => ({
  status,
  headers: {},
  body: Buffer.from(JSON.stringify(body)),
})

const gone = {
  kind: 'Status',
  apiVersion: 'v1',
  status: 'Failure',
  reason: 'Expired',
  code: 410,
  message: 'old',
}

/** An API server whose list and watches the test holds in its hand. */
class ScriptedServer implements Transport {
  readonly requests: KubeRequest[] = []
  items: readonly object[] = []
  resourceVersion = 1
  #waiting: ((lines: string | null) => void) | null = null
  #lines: string[] = []

  async request(request: KubeRequest): Promise<KubeResponse> {
    this.requests.push(request)
    if (request.query?.get('watch') !== 'true') {
      const metadata = { resourceVersion: String(this.resourceVersion) }
      return json(200, { apiVersion: 'v1', kind: 'PodList', metadata, items: this.items })
    }
    return { status: 200, headers: {}, body: this.#stream() }
  }

  send(type: string, object: object): void {
    const line = `${JSON.stringify({ type, object })}\n`
    if (this.#waiting === null) this.#lines.push(line)
    else this.#waiting(line)
  }

  endWatch(): void {
    this.#waiting?.(null)
  }

  async *#stream(): AsyncGenerator<Uint8Array> {
    for (;;) {
      const ready = this.#lines.shift()
      const line = ready ?? (await new Promise<string | null>(resolve => (this.#waiting = resolve)))
      this.#waiting = null
      if (line === null) return
      // In two pieces, as a network would.
      yield Buffer.from(line.slice(0, 10))
      yield Buffer.from(line.slice(10))
    }
  }
}

function start() {
  const server = new ScriptedServer()
  const clock = new ManualClock()
  const aborter = new AbortController()
  const informer = new Informer<KubeObject>({
    client: new KubeClient(server),
    resource: PODS,
    clock,
    random: seededRandom(1),
    log: silentLog,
  })
  const changes: string[] = []
  informer.onChange((key, next, previous) => {
    changes.push(next === null ? `- ${key}` : previous === null ? `+ ${key}` : `~ ${key}`)
  })
  return { server, clock, informer, changes, aborter }
}

test('an informer lists, then follows the watch from where the list ended', async () => {
  const { server, informer, changes, aborter } = start()
  server.items = [pod('a', 3)]
  server.resourceVersion = 5
  informer.start(aborter.signal)
  await informer.synced
  assert.equal(informer.get('default/a')?.kind, 'Pod')
  server.send('ADDED', pod('b', 6))
  server.send('MODIFIED', pod('a', 7))
  server.send('DELETED', pod('b', 8))
  await informer.caughtUp('8')
  assert.deepEqual(changes, ['+ default/a', '+ default/b', '~ default/a', '- default/b'])
  assert.equal(server.requests[1]?.query?.get('resourceVersion'), '5')
  aborter.abort()
})

test('indexes follow every change', async () => {
  const { server, informer, aborter } = start()
  informer.addIndex('app', object => Object.values(object.metadata.labels ?? {}))
  server.items = [pod('a', 1, { app: 'web' }), pod('b', 1, { app: 'web' })]
  informer.start(aborter.signal)
  await informer.synced
  assert.equal(informer.byIndex('app', 'web').length, 2)
  server.send('MODIFIED', pod('a', 2, { app: 'db' }))
  await informer.caughtUp('2')
  assert.deepEqual(
    informer.byIndex('app', 'web').map(each => each.metadata.name),
    ['b'],
  )
  assert.equal(informer.byIndex('app', 'db').length, 1)
  aborter.abort()
})

test('when history is gone the informer lists again and announces only what differs', async () => {
  const { server, informer, changes, aborter, clock } = start()
  server.items = [pod('a', 1), pod('b', 2)]
  server.resourceVersion = 2
  informer.start(aborter.signal)
  await informer.synced
  changes.length = 0
  server.items = [pod('b', 2), pod('c', 9)]
  server.resourceVersion = 9
  server.send('ERROR', gone)
  const caughtUp = informer.until(() => informer.get('default/c') !== undefined)
  while (informer.get('default/c') === undefined) {
    await new Promise(resolve => setImmediate(resolve))
    clock.advance(100)
  }
  await caughtUp
  assert.deepEqual(changes, ['- default/a', '+ default/c'])
  aborter.abort()
})

test('a bookmark moves the place that a new watch begins at', async () => {
  const { server, informer, aborter, clock } = start()
  informer.start(aborter.signal)
  await informer.synced
  server.send('BOOKMARK', { apiVersion: 'v1', kind: 'Pod', metadata: { resourceVersion: '40' } })
  await informer.caughtUp('40')
  await new Promise(resolve => setImmediate(resolve))
  server.endWatch()
  while (server.requests.length < 3) {
    await new Promise(resolve => setImmediate(resolve))
    clock.advance(100)
  }
  assert.equal(server.requests[2]?.query?.get('watch'), 'true')
  assert.equal(server.requests[2]?.query?.get('resourceVersion'), '40')
  aborter.abort()
})
