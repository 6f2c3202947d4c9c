/**
 * What a worker does while the cluster authority is being replaced: it watches its own Node for the authorities
 * that it is to trust, has its certificates renewed for them, and writes there which ones it trusts.
 */
import type { Clock, Timer } from '../../base/clock.ts'
import type { Component } from '../../base/component.ts'
import { messageOf } from '../../base/errors.ts'
import type { Log } from '../../base/log.ts'
import type { Random } from '../../base/random.ts'
import { Informer } from '../../client/informer.ts'
import { KubeClient } from '../../client/kube-client.ts'
import { NODES } from '../../client/resources.ts'
import type { Transport } from '../../client/transport.ts'
import type { Node } from '../../kube/types.ts'
import { certificatesIn, nameOfBundle } from '../pki/validity.ts'
import { TRUSTED_ANNOTATION, WANTED_ANNOTATION } from './rotation-record.ts'

const RETRY_MS = 2_000

export interface WorkerAuthorityParts {
  readonly nodeName: string
  /** As this node. */
  readonly transport: Transport
  /** PEM of what it trusts now. */
  readonly trusted: () => string
  /** Asks a server for certificates and the authorities, whether they are due or not. */
  readonly renew: () => Promise<unknown>
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
}

export function createWorkerAuthority(parts: WorkerAuthorityParts): Component {
  const { nodeName, transport, clock, random, log } = parts
  const ended = new AbortController()
  const client = new KubeClient(transport, { userAgent: 'mk8s/authority' })
  const nodes = new Informer<Node>({
    ...{ client, clock, random, log },
    resource: NODES,
    fieldSelector: `metadata.name=${nodeName}`,
  })
  let timer: Timer | null = null
  let working: Promise<void> | null = null
  let again = false

  const keepUp = async () => {
    const node = nodes.get(nodeName)
    if (node === undefined) return
    const { [WANTED_ANNOTATION]: wanted, [TRUSTED_ANNOTATION]: told } = node.metadata.annotations ?? {}
    const has = () => nameOfBundle(certificatesIn(parts.trusted()))
    if (wanted !== undefined && wanted !== has()) await parts.renew()
    if (has() !== told) {
      const patch = { metadata: { annotations: { [TRUSTED_ANNOTATION]: has() } } }
      const written = await client.patch<Node>(NODES, { name: nodeName, type: 'merge', patch })
      await nodes.caughtUp(written.metadata.resourceVersion, ended.signal)
    }
    if (wanted !== undefined && wanted !== has()) throw new Error('the servers do not have them yet')
  }
  const work = async () => {
    timer?.cancel()
    while (again && !ended.signal.aborted) {
      again = false
      try {
        await keepUp()
      } catch (error) {
        if (ended.signal.aborted) return
        log.debug('this worker could not follow the authorities', { why: messageOf(error) })
        timer = clock.after(RETRY_MS, wake)
      }
    }
  }
  const wake = () => {
    if (ended.signal.aborted) return
    again = true
    working ??= work().finally(() => {
      working = null
      if (again) wake()
    })
  }
  return {
    name: 'authority',
    async prepare() {},
    async start() {
      nodes.onChange(wake)
      nodes.start(ended.signal)
      void nodes.synced.then(wake)
    },
    async stop() {
      ended.abort()
      timer?.cancel()
      await working
    },
    health: () => ({ ok: true, reason: '' }),
  }
}
