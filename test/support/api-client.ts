/** A client of one server's API, with the administrator's certificate out of that server's directory. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { sleepAlive, systemClock } from '../../src/base/clock.ts'
import { HttpsTransport } from '../../src/client/https-transport.ts'
import { KubeClient } from '../../src/client/kube-client.ts'
import type { ResourceRef } from '../../src/client/resources.ts'
import type { KubeObject } from '../../src/kube/object.ts'
import type { TestNode } from './servers.ts'

const API_PORT = 16_443
const RETRY_MS = 50

export const apiClient = (node: TestNode): KubeClient => new KubeClient(transportTo(node))

function transportTo({ address, dataDir }: TestNode): HttpsTransport {
  const read = (name: string) => readFileSync(join(dataDir, 'pki', name), 'utf8')
  return new HttpsTransport({
    server: `https://${address}:${API_PORT}`,
    caPem: read('cluster-ca.crt'),
    certificatePem: read('admin.crt'),
    keyPem: read('admin.key'),
  })
}

/** What there is of it in the namespace `default`, between spaces; nothing where the server does not answer. */
export async function namesOf(node: TestNode, resource: ResourceRef): Promise<string> {
  const transport = transportTo(node)
  try {
    const { items } = await new KubeClient(transport).list(resource, { namespace: 'default' })
    return items.map(({ metadata }) => metadata.name).join(' ')
  } catch {
    return ''
  } finally {
    transport.close()
  }
}

export interface Followed<T> {
  /** Every event, with the time it came. */
  readonly events: readonly { readonly type: string; readonly object: T; readonly atMs: number }[]
  /** How often the watch had to begin again. */
  readonly interruptions: number
  stop(): void
}

/** Watches from now on, again and again from where it was, and keeps everything. */
export async function follow<T extends KubeObject>(
  client: KubeClient,
  resource: ResourceRef,
  namespace?: string,
): Promise<Followed<T>> {
  const aborter = new AbortController()
  const events: { type: string; object: T; atMs: number }[] = []
  let { resourceVersion } = await client.list<T>(resource, { namespace })
  let interruptions = 0
  const run = async () => {
    while (!aborter.signal.aborted) {
      try {
        const options = { namespace, resourceVersion, signal: aborter.signal, allowBookmarks: true }
        for await (const { type, object } of client.watch<T>(resource, options)) {
          resourceVersion = object.metadata.resourceVersion ?? resourceVersion
          if (type !== 'BOOKMARK') events.push({ type, object, atMs: performance.now() })
        }
      } catch {
        await sleepAlive(systemClock, RETRY_MS, aborter.signal).catch(() => {})
      }
      interruptions += 1
    }
  }
  void run()
  return {
    events,
    get interruptions() {
      return interruptions
    },
    stop: () => aborter.abort(),
  }
}
