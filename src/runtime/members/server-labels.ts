/**
 * The leader's duty that marks the Nodes of servers as the control plane, which no kubelet may do for itself. A Node
 * that is made anew gets the mark again; it goes with its Node, so nobody has to take it away.
 */
import type { Clock, Timer } from '../../base/clock.ts'
import type { Component, Health } from '../../base/component.ts'
import { Mk8sError } from '../../base/errors.ts'
import type { Log } from '../../base/log.ts'
import type { Informer } from '../../client/informer.ts'
import { isNotFound, type KubeClient } from '../../client/kube-client.ts'
import { NODES } from '../../client/resources.ts'
import type { Node } from '../../kube/types.ts'
import { followRange } from '../store/follow-range.ts'
import type { RaftStore } from '../store/raft-store.ts'
import type { Watch } from '../store/store.ts'
import { MEMBERS_RANGE } from './member-record.ts'
import { readMembers } from './member-table.ts'

const SERVER_LABEL = 'node-role.kubernetes.io/control-plane'
/** Changes that come together are looked at together. */
const SETTLE_MS = 20
const RETRY_MS = 2_000

export interface ServerLabelsParts {
  readonly store: Pick<RaftStore, 'range' | 'watch' | 'revision'>
  readonly nodes: Informer<Node>
  /** Its writes carry the term, and it may change any Node. */
  readonly client: KubeClient
  readonly clock: Clock
  readonly log: Log
}

export function createServerLabels(parts: ServerLabelsParts): Component {
  return new ServerLabels(parts)
}

class ServerLabels implements Component {
  readonly name = 'server-labels'
  readonly #parts: ServerLabelsParts
  #unsubscribe = () => {}
  #watch: Watch | null = null
  #timer: Timer | null = null
  #working: Promise<void> | null = null
  #stopped = true

  constructor(parts: ServerLabelsParts) {
    this.#parts = parts
  }

  async prepare(): Promise<void> {}

  async start(): Promise<void> {
    this.#stopped = false
    this.#unsubscribe = this.#parts.nodes.onChange((_key, node) => {
      if (node !== null && !isMarked(node)) this.#lookIn(SETTLE_MS)
    })
    const { store, clock } = this.#parts
    const onChange = () => this.#lookIn(SETTLE_MS)
    this.#watch = followRange({ store, range: MEMBERS_RANGE, onChange, clock })
    this.#lookIn(SETTLE_MS)
  }

  async stop(): Promise<void> {
    this.#stopped = true
    this.#unsubscribe()
    this.#watch?.close()
    this.#timer?.cancel()
    await this.#working
  }

  health(): Health {
    return { ok: true, reason: '' }
  }

  #lookIn(ms: number): void {
    if (this.#stopped) return
    this.#timer ??= this.#parts.clock.after(ms, () => {
      this.#timer = null
      // What changes while it works is seen by the look after it.
      if (this.#working !== null) return this.#lookIn(SETTLE_MS)
      this.#working = this.#look().finally(() => {
        this.#working = null
      })
    })
  }

  async #look(): Promise<void> {
    const { store, nodes, client, log } = this.#parts
    for (const { record } of readMembers(store)) {
      const node = nodes.get(record.nodeName)
      if (record.leaving || node === undefined || isMarked(node)) continue
      try {
        const patch = { metadata: { uid: node.metadata.uid, labels: { [SERVER_LABEL]: '' } } }
        await client.patch<Node>(NODES, { name: record.nodeName, type: 'merge', patch })
      } catch (error) {
        if (isNotFound(error)) continue
        if (error instanceof Mk8sError && error.code === 'store/fenced') return
        log.debug('a server could not be marked as the control plane', { node: record.nodeName, error })
        this.#lookIn(RETRY_MS)
      }
    }
  }
}

const isMarked = ({ metadata: { labels = {} } }: Node): boolean => SERVER_LABEL in labels
