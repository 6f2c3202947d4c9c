/** Watches nodes' heartbeats: marks silent ones unknown, taints by condition, and their pods not ready. */
import { type EventRecorder, referenceTo } from '../../../client/event-recorder.ts'
import { type Informer, keyOf } from '../../../client/informer.ts'
import { isNotFound, type KubeClient } from '../../../client/kube-client.ts'
import { LEASES, NODES, PODS } from '../../../client/resources.ts'
import { observedGeneration } from '../../../kube/observed-generation.ts'
import { formatTime } from '../../../kube/time.ts'
import type { Lease, Node, ObjectReference, Pod } from '../../../kube/types.ts'
import type { Controller, ControllerContext } from '../shared/context.ts'
import { keyedController, keysFrom } from '../shared/keyed-controller.ts'
import { isReady, podCondition } from '../shared/pods.ts'
import { Attention } from './attention.ts'
import { ZoneTally, zoneOf } from './disruption.ts'
import { type EvictionWill, evicts, nodeCondition, nodeGraceMs, planTaints, planUnknown } from './plan.ts'

const SERVICE_ACCOUNT = 'node-controller'
const LEASE_NAMESPACE = 'kube-node-lease'
const NODE_INDEX = 'node'
/** How soon a node that may not be evicted yet is looked at again. */
const LOOK_AGAIN_MS = 500

interface Heartbeat {
  /** What the node last wrote; a change of it is a sign of life, whatever its own clock says. */
  readonly sign: string
  readonly seenMs: number
}

interface Parts {
  readonly context: ControllerContext
  readonly client: KubeClient
  readonly nodes: Informer<Node>
  readonly leases: Informer<Lease>
  readonly pods: Informer<Pod>
  readonly heartbeats: Map<string, Heartbeat>
  readonly attention: Attention
  readonly events: EventRecorder
  /** Nodes that the events have told of. */
  readonly registered: Map<string, ObjectReference>
  /** When a node of a zone was evicted last. */
  readonly evicted: Map<string, number>
  readonly zones: ZoneTally
  /** No node was ready when it was last looked. */
  disruption: { isEverythingDown: boolean }
}

export function createNodeLifecycleController(context: ControllerContext): Controller {
  const nodes = context.informers.informer<Node>(NODES)
  const leases = context.informers.informer<Lease>(LEASES)
  const pods = context.informers.informer<Pod>(PODS)
  pods.addIndex(NODE_INDEX, pod => (pod.spec?.nodeName ? [pod.spec.nodeName] : []))
  const client = context.client(SERVICE_ACCOUNT)
  const events = context.events({ component: SERVICE_ACCOUNT, serviceAccount: SERVICE_ACCOUNT })
  const watched = { nodes, leases, pods }
  const attention = new Attention(context.clock)
  const known = {
    heartbeats: new Map(),
    registered: new Map(),
    evicted: new Map(),
    zones: new ZoneTally(),
    disruption: { isEverythingDown: false },
  }
  const parts: Parts = { context, client, events, attention, ...watched, ...known }
  const controller = keyedController({
    name: 'node-lifecycle-controller',
    context,
    sources: [
      keysFrom(nodes, node => [keyOf(node)]),
      { subscribe: add => leases.onChange((_key, next) => onLease(parts, next, add)) },
      { subscribe: add => followNodes(parts, add) },
    ],
    reconcile: name => reconcile(parts, name),
  })
  return {
    name: controller.name,
    start() {
      attention.start()
      controller.start()
    },
    async stop() {
      attention.stop()
      await controller.stop()
    },
  }
}

/** A renewal is only written down; the node is looked at again when it was thought to be silent. */
function onLease(parts: Parts, lease: Lease | null, add: (key: string) => void): void {
  if (lease?.metadata.namespace !== LEASE_NAMESPACE) return
  const name = lease.metadata.name ?? ''
  const node = parts.nodes.get(name)
  if (node === undefined) return
  observe(parts, name, node)
  if (nodeCondition(node, 'Ready')?.status === 'Unknown') add(name)
}

function followNodes(parts: Parts, add: (key: string) => void): () => void {
  for (const node of parts.nodes.list()) parts.zones.put(node)
  return parts.nodes.onChange((name, next) => onNode(parts, name, next, add))
}

/** When everything goes down or something comes up, all nodes are looked at again. */
function onNode(parts: Parts, name: string, next: Node | null, add: (key: string) => void): void {
  const { nodes, zones, disruption } = parts
  if (next === null) zones.remove(name)
  else zones.put(next)
  const { isEverythingDown } = zones
  if (nodes.size === 0 || isEverythingDown === disruption.isEverythingDown) return
  disruption.isEverythingDown = isEverythingDown
  for (const node of nodes.list()) add(keyOf(node))
}

const leaseOf = ({ leases }: Parts, node: string): Lease | undefined =>
  leases.get(`${LEASE_NAMESPACE}/${node}`)

/** Milliseconds since the last sign of life, as far as this process could hear one. */
function observe(parts: Parts, name: string, node: Node): number {
  const nowMs = parts.context.clock.monotonic()
  const renewed = leaseOf(parts, name)?.spec?.renewTime ?? ''
  const ready = nodeCondition(node, 'Ready')
  const sign = `${renewed}|${ready?.status === 'Unknown' ? '' : (ready?.lastHeartbeatTime ?? '')}`
  const known = parts.heartbeats.get(name)
  if (known !== undefined && known.sign === sign) {
    return Math.min(nowMs - known.seenMs, parts.attention.heardMs())
  }
  parts.heartbeats.set(name, { sign, seenMs: nowMs })
  return 0
}

async function reconcile(parts: Parts, name: string): Promise<number | undefined> {
  const node = parts.nodes.get(name)
  tellRegistration(parts, name, node)
  if (node === undefined) {
    parts.heartbeats.delete(name)
    return undefined
  }
  const { settings, clock } = parts.context
  const silentMs = observe(parts, name, node)
  const hasReported = nodeCondition(node, 'Ready') !== undefined
  const graceMs = hasReported
    ? nodeGraceMs(settings.nodeMonitorGraceMs, leaseOf(parts, name))
    : settings.nodeStartupGraceMs
  const conditions = silentMs >= graceMs ? planUnknown(node, clock.now()) : null
  const current = conditions === null ? node : await writeConditions(parts, node, conditions)
  if (nodeCondition(node, 'Ready')?.status === 'True' && nodeCondition(current, 'Ready')?.status !== 'True') {
    const reason = 'NodeNotReady'
    parts.events.record(current, 'Normal', reason, `Node ${name} status is now: ${reason}`)
  }
  const { will, againMs } = decideEviction(parts, current)
  const taints = planTaints(current, clock.now(), will)
  if (taints !== null) await writeTaints(parts, current, taints)
  const ready = nodeCondition(current, 'Ready')?.status
  if (ready !== 'True' && ready !== undefined) await markPodsNotReady(parts, name)
  if (againMs !== undefined) return againMs
  return silentMs >= graceMs ? undefined : graceMs - silentMs
}

interface EvictionDecision {
  readonly will: EvictionWill
  /** It is this node's turn later. */
  readonly againMs?: number
}

/** One node of a zone after the other, and none while too many are silent. */
function decideEviction(parts: Parts, node: Node): EvictionDecision {
  parts.zones.put(node)
  const ready = nodeCondition(node, 'Ready')?.status
  if (ready === undefined || ready === 'True' || evicts(node.spec?.taints ?? [])) {
    return { will: parts.zones.isEverythingDown ? 'stop' : 'evict' }
  }
  const { isOn, isEverythingDown, intervalMs } = parts.zones.evictionFor(node)
  if (isEverythingDown) return { will: 'stop' }
  const nowMs = parts.context.clock.monotonic()
  const zone = zoneOf(node)
  const dueMs = (parts.evicted.get(zone) ?? Number.NEGATIVE_INFINITY) + intervalMs
  if (!isOn || nowMs < dueMs) return { will: 'keep', againMs: Math.max(dueMs - nowMs, LOOK_AGAIN_MS) }
  parts.evicted.set(zone, nowMs)
  return { will: 'evict' }
}

/** A node is told of when it is first seen, as another one, and when it is gone. */
function tellRegistration({ events, registered }: Parts, name: string, node: Node | undefined): void {
  const known = registered.get(name)
  if (known !== undefined && known.uid === node?.metadata.uid) return
  const head = `Node ${name} event:`
  if (known !== undefined) {
    registered.delete(name)
    events.recordReference(known, 'Normal', 'RemovingNode', `${head} Removing Node ${name} from Controller`)
  }
  if (node === undefined) return
  registered.set(name, referenceTo(node))
  events.record(node, 'Normal', 'RegisteredNode', `${head} Registered Node ${name} in Controller`)
}

async function writeConditions(
  parts: Parts,
  node: Node,
  conditions: NonNullable<Node['status']>['conditions'],
): Promise<Node> {
  const status = { ...node.status, ...(conditions === undefined ? {} : { conditions }) }
  const updated = await parts.client.update<Node>(NODES, { ...node, status }, { subresource: 'status' })
  await parts.nodes.caughtUp(updated.metadata.resourceVersion)
  return updated
}

async function writeTaints(parts: Parts, node: Node, taints: readonly object[]): Promise<void> {
  const { name, resourceVersion } = node.metadata
  const patch = { metadata: { resourceVersion }, spec: { taints: taints.length === 0 ? null : taints } }
  const patched = await parts.client.patch(NODES, { name: name ?? '', type: 'merge', patch })
  await parts.nodes.caughtUp(patched.metadata.resourceVersion)
}

/** Endpoints must not lead to pods that nobody hears of. */
async function markPodsNotReady(parts: Parts, node: string): Promise<void> {
  for (const pod of parts.pods.byIndex(NODE_INDEX, node)) {
    if (!isReady(pod)) continue
    const { namespace, name } = pod.metadata
    const time = formatTime(parts.context.clock.now())
    const condition = {
      ...podCondition(pod, 'Ready'),
      type: 'Ready',
      ...observedGeneration(pod),
      status: 'False',
      lastTransitionTime: time,
    }
    try {
      const patch = { status: { conditions: [condition] } }
      const target = { namespace, name: name ?? '', subresource: 'status', type: 'strategic' } as const
      await parts.client.patch(PODS, { ...target, patch })
      parts.events.record(pod, 'Warning', 'NodeNotReady', 'Node is not ready')
    } catch (error) {
      if (!isNotFound(error)) throw error
    }
  }
}
