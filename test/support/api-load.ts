/** Clients that keep writing to and watching several servers while a test does something to them. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { sleepAlive, systemClock } from '../../src/base/clock.ts'
import { silentLog } from '../../src/base/log.ts'
import { systemRandom } from '../../src/base/random.ts'
import { HttpsTransport } from '../../src/client/https-transport.ts'
import { Informer } from '../../src/client/informer.ts'
import { KubeClient } from '../../src/client/kube-client.ts'
import { CONFIG_MAPS } from '../../src/client/resources.ts'
import type { ConfigMap } from '../../src/kube/types.ts'
import type { TestNode } from './servers.ts'
import { until } from './until.ts'

const WRITE_MS = 40

/** Someone who copied the identity and the authorities of a server's administrator, as they are now. */
export function copiedClient(node: TestNode, from = node): () => KubeClient {
  const fileOf = (name: string) => readFileSync(join(from.dataDir, 'pki', name), 'utf8')
  const identity = { certificatePem: fileOf('admin.crt'), keyPem: fileOf('admin.key') }
  const caPem = fileOf('cluster-ca.crt')
  return () =>
    new KubeClient(new HttpsTransport({ server: `https://${node.address}:16443`, caPem, ...identity }))
}

export class ApiLoad {
  readonly written: string[] = []
  worstGapMs = 0
  readonly #seen: Set<string>[] = []
  readonly #ended = new AbortController()
  readonly #writers: Promise<void>[] = []

  /** One writer and one watch per server; each write takes a connection of its own. */
  async start(nodes: readonly TestNode[]): Promise<void> {
    for (const node of nodes) {
      const connect = copiedClient(node)
      const seen = new Set<string>()
      const maps = new Informer<ConfigMap>({
        client: connect(),
        resource: CONFIG_MAPS,
        namespace: 'default',
        ...{ clock: systemClock, random: systemRandom, log: silentLog },
      })
      maps.onChange(key => seen.add(key))
      maps.start(this.#ended.signal)
      await maps.synced
      this.#seen.push(seen)
      this.#writers.push(this.#write(node, connect))
    }
  }

  async #write({ name }: TestNode, connect: () => KubeClient): Promise<void> {
    let answeredMs = Date.now()
    for (let count = 0; !this.#ended.signal.aborted; ) {
      try {
        const metadata = { name: `${name}-${count}`, namespace: 'default' }
        const object = { apiVersion: 'v1', kind: 'ConfigMap', metadata } as ConfigMap
        await connect().create(CONFIG_MAPS, object, { namespace: 'default' })
        this.written.push(`default/${metadata.name}`)
        count++
        answeredMs = Date.now()
      } catch (error) {
        if (/already exists/.test(String(error))) count++
      }
      this.worstGapMs = Math.max(this.worstGapMs, Date.now() - answeredMs)
      await sleepAlive(systemClock, WRITE_MS)
    }
  }

  /** What each watch has not seen. */
  missing(): string[] {
    return this.#seen.flatMap(seen => this.written.filter(name => !seen.has(name)))
  }

  async stop(): Promise<void> {
    await until('every watch has seen every write', () => this.missing().length === 0)
    this.#ended.abort()
    await Promise.all(this.#writers)
  }
}
