/** This machine as a Node object (pure). */
import { POD_LEVEL_RESIZE, RESTART_ALL, STREAM_WEBSOCKETS } from '../../kube/declared-features.ts'
import { formatMicroTime, formatTime } from '../../kube/time.ts'
import type { Lease, Node, NodeCondition, NodeStatus } from '../../kube/types.ts'
import { HOSTPATH_DIRECTORY } from '../../kube/volumes/claims.ts'
import type { HostFacts } from './host-facts.ts'
import type { PressureType } from './pressure/thresholds.ts'
import {
  allocatableAmounts,
  capacityAmounts,
  type Reserved,
  renderAmounts,
} from './resources/node-allocatable.ts'
import type { Runtime } from './runtime/runtime.ts'

export interface NodeFacts {
  readonly nodeName: string
  readonly nodeAddress: string
  /** Its address of the other family, while it has one. */
  readonly secondAddress?: (() => string | undefined) | undefined
  readonly kubeletPort: number
  readonly host: HostFacts
  readonly version: string
  /** Where volumes of `hostpath-storage` are made. */
  readonly volumesDirectory: string
  readonly reserved?: Reserved | undefined
  /** What device plugins have told. */
  readonly devices?: () => Record<'capacity' | 'allocatable', Record<string, string>>
  /** `process`, and its version. */
  readonly runtime: Pick<Runtime, 'name' | 'version' | 'obeys' | 'handlers' | 'updateContainer'>
}

/** Unless the cluster says otherwise; what the node lifecycle controller's grace goes with. */
export const LEASE_SECONDS = 10
export const LEASE_NAMESPACE = 'kube-node-lease'

/** Labels that the kubelet keeps up to date. */
export function nodeLabels({ nodeName, host }: NodeFacts): Record<string, string> {
  return {
    'beta.kubernetes.io/arch': host.architecture,
    'beta.kubernetes.io/os': host.operatingSystem,
    'kubernetes.io/arch': host.architecture,
    'kubernetes.io/hostname': nodeName,
    'kubernetes.io/os': host.operatingSystem,
  }
}

/** Annotations that the kubelet keeps up to date. */
export const nodeAnnotations = ({ volumesDirectory }: NodeFacts): Record<string, string> => ({
  [HOSTPATH_DIRECTORY]: volumesDirectory,
})

export function renderNode(facts: NodeFacts, nowMs: number, problem = ''): Node {
  return {
    apiVersion: 'v1',
    kind: 'Node',
    metadata: { name: facts.nodeName, labels: nodeLabels(facts), annotations: nodeAnnotations(facts) },
    spec: {},
    status: renderNodeStatus(facts, { nowMs, previous: undefined, problem }),
  }
}

export interface NodeStatusInput {
  readonly nowMs: number
  readonly previous: NodeStatus | undefined
  /** Why no pods can be run; empty or absent when they can. */
  readonly problem?: string
  readonly pressures?: readonly PressureType[]
}

export function renderNodeStatus(facts: NodeFacts, input: NodeStatusInput): NodeStatus {
  const { host } = facts
  const second = facts.secondAddress?.()
  return {
    addresses: [
      { type: 'InternalIP', address: facts.nodeAddress },
      ...(second === undefined ? [] : [{ type: 'InternalIP', address: second }]),
      { type: 'Hostname', address: facts.nodeName },
    ],
    capacity: { ...renderAmounts(capacityAmounts(host)), ...facts.devices?.().capacity },
    allocatable: {
      ...renderAmounts(allocatableAmounts(host, facts.reserved)),
      ...facts.devices?.().allocatable,
    },
    conditions: CONDITIONS.map(condition => renderCondition(condition, input)),
    ...featuresOf(facts.runtime),
    declaredFeatures: declaredFeatures(facts.runtime),
    daemonEndpoints: { kubeletEndpoint: { Port: facts.kubeletPort } },
    nodeInfo: {
      architecture: host.architecture,
      bootID: host.bootId,
      containerRuntimeVersion: `${facts.runtime.name}://${facts.runtime.version}`,
      kernelVersion: host.kernelVersion,
      kubeProxyVersion: '',
      kubeletVersion: facts.version,
      machineID: host.machineId,
      operatingSystem: host.operatingSystem,
      osImage: host.osImage,
      systemUUID: host.machineId,
    },
  }
}

/** What upstream has behind gates and this node can do, in alphabetical order. */
const declaredFeatures = ({ updateContainer }: Pick<Runtime, 'updateContainer'>): string[] => [
  STREAM_WEBSOCKETS,
  ...(updateContainer === undefined ? [] : [POD_LEVEL_RESIZE]),
  RESTART_ALL,
]

/** What a runtime says that it can do; nothing where it says nothing. */
function featuresOf({ obeys, handlers = [] }: NodeFacts['runtime']): Partial<NodeStatus> {
  if (handlers.length === 0) return {}
  return {
    features: { supplementalGroupsPolicy: obeys?.has('strictGroups') === true },
    runtimeHandlers: handlers.map(({ name, recursiveReadOnly: recursiveReadOnlyMounts, userNamespaces }) => ({
      name,
      features: { recursiveReadOnlyMounts, userNamespaces },
    })),
  }
}

const CONDITIONS = [
  {
    type: 'MemoryPressure',
    status: 'False',
    reason: 'KubeletHasSufficientMemory',
    message: 'kubelet has sufficient memory available',
  },
  {
    type: 'DiskPressure',
    status: 'False',
    reason: 'KubeletHasNoDiskPressure',
    message: 'kubelet has no disk pressure',
  },
  {
    type: 'PIDPressure',
    status: 'False',
    reason: 'KubeletHasSufficientPID',
    message: 'kubelet has sufficient PID available',
  },
  { type: 'Ready', status: 'True', reason: 'KubeletReady', message: 'kubelet is posting ready status' },
] as const

const PRESSED = {
  MemoryPressure: {
    type: 'MemoryPressure',
    status: 'True',
    reason: 'KubeletHasInsufficientMemory',
    message: 'kubelet has insufficient memory available',
  },
  DiskPressure: {
    type: 'DiskPressure',
    status: 'True',
    reason: 'KubeletHasDiskPressure',
    message: 'kubelet has disk pressure',
  },
  PIDPressure: {
    type: 'PIDPressure',
    status: 'True',
    reason: 'KubeletHasInsufficientPID',
    message: 'kubelet has insufficient PID available',
  },
} as const

function renderCondition(
  usual: (typeof CONDITIONS)[number],
  { nowMs, previous, problem = '', pressures = [] }: NodeStatusInput,
): NodeCondition {
  const isUnready = usual.type === 'Ready' && problem !== ''
  const unready = { type: 'Ready', status: 'False', reason: 'KubeletNotReady', message: problem }
  const pressed = pressures.find(type => type === usual.type)
  const condition = isUnready ? unready : pressed === undefined ? usual : PRESSED[pressed]
  const before = previous?.conditions?.find(({ type }) => type === condition.type)
  const now = formatTime(nowMs)
  const isSame = before?.status === condition.status
  const lastTransitionTime = isSame ? (before?.lastTransitionTime ?? now) : now
  return { ...condition, lastHeartbeatTime: now, lastTransitionTime }
}

export function renderLease(
  node: Node,
  { nowMs, seconds }: { readonly nowMs: number; readonly seconds: number },
): Lease {
  const { name = '', uid = '' } = node.metadata
  return {
    apiVersion: 'coordination.k8s.io/v1',
    kind: 'Lease',
    metadata: {
      name,
      namespace: LEASE_NAMESPACE,
      ownerReferences: [{ apiVersion: 'v1', kind: 'Node', name, uid }],
    },
    spec: {
      holderIdentity: name,
      leaseDurationSeconds: seconds,
      renewTime: formatMicroTime(nowMs),
    },
  }
}
