/** Makes and keeps the Node object: at the start, its lease several times while it holds, its status every 5 min. */
import { type BackoffConfig, backoffMs } from '../../base/backoff.ts'
import { type Clock, sleep } from '../../base/clock.ts'
import type { Log } from '../../base/log.ts'
import type { EventRecorder } from '../../client/event-recorder.ts'
import { isAlreadyExists, isNotFound, type KubeClient } from '../../client/kube-client.ts'
import { LEASES, NODES } from '../../client/resources.ts'
import type { Lease, Node } from '../../kube/types.ts'
import { cordonEvent, nodeEvents } from './node-events.ts'
import type { PressureType } from './pressure/thresholds.ts'
import {
  LEASE_NAMESPACE,
  type NodeFacts,
  nodeAnnotations,
  nodeLabels,
  renderLease,
  renderNode,
  renderNodeStatus,
} from './render-node.ts'

/** Renewals in the time that a lease holds. */
const RENEWALS = 4
const STATUS_MS = 300_000
const RETRY: BackoffConfig = { baseMs: 100, maxMs: 2_000 }

export interface NodeRegistrationParts {
  readonly client: KubeClient
  readonly clock: Clock
  readonly log: Log
  readonly facts: NodeFacts
  readonly events: EventRecorder
  readonly leaseSeconds: number
  /** Why this node cannot run pods yet; empty when it can. */
  readonly problem: string
}

export class NodeRegistration {
  readonly #parts: NodeRegistrationParts
  #node: Node | null = null
  #lease: Lease | null = null
  #renewedMs = 0
  #statusMs = 0
  #isStart = true
  /** As it last was; whoever starts on a cordoned node tells it. */
  #isCordoned = false
  #problem: string
  #pressures: readonly PressureType[] = []
  #why = 'the node is not registered yet'

  constructor(parts: NodeRegistrationParts) {
    this.#parts = parts
    this.#problem = parts.problem
  }

  /** As the API has it; null until it does. */
  get node(): Node | null {
    return this.#node
  }

  /** As it will be made, until the API has it. */
  get known(): Node {
    const { facts, clock } = this.#parts
    return this.#node ?? renderNode(facts, clock.now(), this.#problem)
  }

  /** Reads it again; false when the API does not answer. */
  async refresh(): Promise<boolean> {
    if (this.#node === null) return false
    const { client, facts, log } = this.#parts
    try {
      this.#node = await client.get<Node>(NODES, { name: facts.nodeName })
      return true
    } catch (error) {
      log.debug('the node could not be read again', { error })
      return false
    }
  }

  /** Empty when the node's lease is fresh. */
  get problem(): string {
    if (this.#node === null) return this.#why
    const ageMs = this.#parts.clock.monotonic() - this.#renewedMs
    return ageMs < this.#parts.leaseSeconds * 1_000
      ? ''
      : `the node's lease could not be renewed: ${this.#why}`
  }

  /** Why this node cannot run pods, said at once; empty when it can again. */
  async setProblem(problem: string): Promise<void> {
    if (problem === this.#problem) return
    this.#problem = problem
    const { log } = this.#parts
    if (problem === '') log.info('this node can run pods')
    else log.warn('this node cannot run pods', { problem })
    await this.#writeSoon()
  }

  /** What the node is short of, said at once. */
  async setPressures(pressures: readonly PressureType[]): Promise<void> {
    this.#pressures = pressures
    await this.#writeSoon()
  }

  /** The node has other devices than before, said at once. */
  async setDevices(): Promise<void> {
    await this.#writeSoon()
  }

  async #writeSoon(): Promise<void> {
    // Should it not be written now, it is with the next renewal of the lease.
    this.#statusMs = Number.NEGATIVE_INFINITY
    if (this.#node === null) return
    try {
      this.#node = await this.#writeStatus()
    } catch (error) {
      this.#statusMs = Number.NEGATIVE_INFINITY
      this.#parts.log.debug("the node's status could not be written", { error })
    }
  }

  /** Returns once the node is in the API, and goes on in the background until the signal fires. */
  async start(signal: AbortSignal): Promise<void> {
    for (let failures = 0; this.#node === null; ) {
      signal.throwIfAborted()
      try {
        await this.#register()
      } catch (error) {
        failures += 1
        this.#why = error instanceof Error ? error.message : String(error)
        this.#parts.log.debug('the node could not be registered yet', { error })
        await sleep(this.#parts.clock, backoffMs(RETRY, failures), signal)
      }
    }
    void this.#keepUp(signal)
  }

  /** About the node, once it is known. */
  recordEvent(type: 'Normal' | 'Warning', reason: string, message: string): void {
    if (this.#node !== null) this.#parts.events.record(this.#node, type, reason, message)
  }

  #tellCordon(node: Node): void {
    const event = cordonEvent(this.#parts.facts.nodeName, this.#isCordoned, node)
    if (event === undefined) return
    this.#isCordoned = node.spec?.unschedulable === true
    this.#parts.events.record(node, event.type, event.reason, event.message)
  }

  async #register(): Promise<void> {
    const { client, clock, facts } = this.#parts
    let isNew = true
    try {
      await client.create<Node>(NODES, renderNode(facts, clock.now(), this.#problem))
    } catch (error) {
      if (!isAlreadyExists(error)) throw error
      isNew = false
      const patch = { metadata: { labels: nodeLabels(facts), annotations: nodeAnnotations(facts) } }
      await client.patch(NODES, { name: facts.nodeName, type: 'strategic', patch })
    }
    const node = await this.#writeStatus({ isNew })
    await this.#renew(node)
    this.#node = node
  }

  /** A new node has been made with its status, which nobody has been told of. */
  async #writeStatus({ isNew = false } = {}): Promise<Node> {
    const { client, clock, facts, events } = this.#parts
    const name = facts.nodeName
    const current = await client.get<Node>(NODES, { name })
    const status = renderNodeStatus(facts, {
      nowMs: clock.now(),
      previous: current.status,
      problem: this.#problem,
      pressures: this.#pressures,
    })
    this.#statusMs = clock.monotonic()
    // Two addresses of one type are no keys to merge by.
    const addresses = [...(status.addresses ?? []), { $patch: 'replace' }]
    const whole = { ...status, addresses }
    const patch = { name, subresource: 'status', type: 'strategic', patch: { status: whole } } as const
    const written = await client.patch<Node>(NODES, patch)
    const change = { previous: isNew ? undefined : current.status, next: status, isStart: this.#isStart }
    this.#isStart = false
    for (const { type, reason, message } of nodeEvents(name, change)) {
      events.record(written, type, reason, message)
    }
    return written
  }

  async #renew(node: Node): Promise<void> {
    const { client, clock } = this.#parts
    const wanted = renderLease(node, { nowMs: clock.now(), seconds: this.#parts.leaseSeconds })
    const name = node.metadata.name ?? ''
    try {
      this.#lease ??= await client.get<Lease>(LEASES, { namespace: LEASE_NAMESPACE, name })
      const lease: Lease = {
        ...this.#lease,
        // The node may be another one than before; a lease that is still the old one's would be collected.
        metadata: { ...this.#lease.metadata, ownerReferences: wanted.metadata.ownerReferences ?? [] },
        spec: { ...this.#lease.spec, ...wanted.spec },
      }
      this.#lease = await client.update<Lease>(LEASES, lease)
    } catch (error) {
      this.#lease = null
      if (!isNotFound(error)) throw error
      this.#lease = await client.create<Lease>(LEASES, wanted)
    }
    this.#renewedMs = clock.monotonic()
  }

  async #keepUp(signal: AbortSignal): Promise<void> {
    const { client, clock, facts, log, leaseSeconds } = this.#parts
    let failures = 0
    while (!signal.aborted) {
      const delayMs = failures === 0 ? (leaseSeconds * 1_000) / RENEWALS : backoffMs(RETRY, failures)
      await sleep(clock, delayMs, signal).catch(() => {})
      if (signal.aborted || this.#node === null) return
      try {
        // Somebody may have deleted the node: it comes back as a new one, before its pods are collected.
        this.#node = await client.get<Node>(NODES, { name: facts.nodeName })
        this.#tellCordon(this.#node)
        await this.#renew(this.#node)
        const isDue = clock.monotonic() - this.#statusMs >= STATUS_MS
        if (isDue || !saysReady(this.#node, this.#problem === '')) this.#node = await this.#writeStatus()
        failures = 0
      } catch (error) {
        failures += 1
        this.#why = error instanceof Error ? error.message : String(error)
        log.debug("the node's lease or status could not be written", { error })
        if (isNotFound(error)) await this.#register().catch(() => {})
      }
    }
  }
}

/** The cluster may have given the node up for dead in the meantime. */
function saysReady({ status }: Node, isReady: boolean): boolean {
  const condition = status?.conditions?.find(({ type }) => type === 'Ready')
  return condition?.status === (isReady ? 'True' : 'False')
}
