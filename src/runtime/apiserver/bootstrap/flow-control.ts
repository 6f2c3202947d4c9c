/** The priority levels and flow schemas that a cluster begins with; `exempt` and `catch-all` are mandatory. */
import type { KubeObject } from '../../../kube/object.ts'

const API_VERSION = 'flowcontrol.apiserver.k8s.io/v1'
const metadata = (name: string) => ({
  name,
  annotations: { 'apf.kubernetes.io/autoupdate-spec': 'true' },
})

interface LimitedLevel {
  readonly shares: number
  readonly lendable: number
  /** Absent: what cannot run at once is refused. */
  readonly queues?: readonly [count: number, handSize: number, length: number]
}

const levels: Record<string, LimitedLevel> = {
  'catch-all': { shares: 5, lendable: 0 },
  'global-default': { shares: 20, lendable: 50, queues: [128, 6, 50] },
  'leader-election': { shares: 10, lendable: 0, queues: [16, 4, 50] },
  'node-high': { shares: 40, lendable: 25, queues: [64, 6, 50] },
  system: { shares: 30, lendable: 33, queues: [64, 6, 50] },
  'workload-high': { shares: 40, lendable: 50, queues: [128, 6, 50] },
  'workload-low': { shares: 100, lendable: 90, queues: [128, 6, 50] },
}

const exemptLevel: KubeObject = {
  apiVersion: API_VERSION,
  kind: 'PriorityLevelConfiguration',
  metadata: metadata('exempt'),
  spec: { type: 'Exempt', exempt: { nominalConcurrencyShares: 0, lendablePercent: 0 } },
}

function limitedLevel(name: string, { shares, lendable, queues }: LimitedLevel): KubeObject {
  const limitResponse =
    queues === undefined
      ? { type: 'Reject' }
      : { type: 'Queue', queuing: { queues: queues[0], handSize: queues[1], queueLengthLimit: queues[2] } }
  const limited = { nominalConcurrencyShares: shares, lendablePercent: lendable, limitResponse }
  return {
    apiVersion: API_VERSION,
    kind: 'PriorityLevelConfiguration',
    metadata: metadata(name),
    spec: { type: 'Limited', limited },
  }
}

interface Schema {
  readonly name: string
  readonly level: string
  readonly precedence: number
  readonly by?: 'ByUser' | 'ByNamespace'
  readonly subjects: readonly object[]
  readonly resourceRules?: readonly object[]
  readonly nonResourceRules?: readonly object[]
}

const group = (name: string) => ({ kind: 'Group', group: { name } })
const user = (name: string) => ({ kind: 'User', user: { name } })
const account = (name: string, namespace = 'kube-system') => ({
  kind: 'ServiceAccount',
  serviceAccount: { name, namespace },
})

const anything = {
  verbs: ['*'],
  apiGroups: ['*'],
  resources: ['*'],
  namespaces: ['*'],
  clusterScope: true,
}
const anyPath = { verbs: ['*'], nonResourceURLs: ['*'] }
const everything = { resourceRules: [anything], nonResourceRules: [anyPath] }
const leases = {
  verbs: ['get', 'create', 'update'],
  apiGroups: ['coordination.k8s.io'],
  resources: ['leases'],
}
const nodes = { verbs: ['*'], apiGroups: [''], resources: ['nodes', 'nodes/status'], clusterScope: true }
const nodeLeases = {
  verbs: ['*'],
  apiGroups: ['coordination.k8s.io'],
  resources: ['leases'],
  namespaces: ['*'],
}

const everybody = [group('system:unauthenticated'), group('system:authenticated')]
const controllerManager = user('system:kube-controller-manager')
const scheduler = user('system:kube-scheduler')

const schemas: readonly Schema[] = [
  { name: 'exempt', level: 'exempt', precedence: 1, subjects: [group('system:masters')], ...everything },
  {
    name: 'probes',
    level: 'exempt',
    precedence: 2,
    subjects: everybody,
    nonResourceRules: [{ verbs: ['get'], nonResourceURLs: ['/healthz', '/readyz', '/livez'] }],
  },
  {
    name: 'system-leader-election',
    level: 'leader-election',
    precedence: 100,
    by: 'ByUser',
    subjects: [controllerManager, scheduler, account('*')],
    resourceRules: [{ ...leases, namespaces: ['kube-system'] }],
  },
  {
    name: 'workload-leader-election',
    level: 'leader-election',
    precedence: 200,
    by: 'ByUser',
    subjects: [account('*')],
    resourceRules: [{ ...leases, namespaces: ['*'] }],
  },
  {
    name: 'system-node-high',
    level: 'node-high',
    precedence: 400,
    by: 'ByUser',
    subjects: [group('system:nodes')],
    resourceRules: [nodes, nodeLeases],
  },
  {
    name: 'system-nodes',
    level: 'system',
    precedence: 500,
    by: 'ByUser',
    subjects: [group('system:nodes')],
    ...everything,
  },
  {
    name: 'kube-controller-manager',
    level: 'workload-high',
    precedence: 800,
    by: 'ByNamespace',
    subjects: [controllerManager],
    ...everything,
  },
  {
    name: 'kube-scheduler',
    level: 'workload-high',
    precedence: 800,
    by: 'ByNamespace',
    subjects: [scheduler],
    ...everything,
  },
  {
    name: 'kube-system-service-accounts',
    level: 'workload-high',
    precedence: 900,
    by: 'ByNamespace',
    subjects: [account('*')],
    ...everything,
  },
  {
    name: 'service-accounts',
    level: 'workload-low',
    precedence: 9000,
    by: 'ByUser',
    subjects: [group('system:serviceaccounts')],
    ...everything,
  },
  {
    name: 'global-default',
    level: 'global-default',
    precedence: 9900,
    by: 'ByUser',
    subjects: everybody,
    ...everything,
  },
  {
    name: 'catch-all',
    level: 'catch-all',
    precedence: 10000,
    by: 'ByUser',
    subjects: everybody,
    ...everything,
  },
]

function flowSchema(schema: Schema): KubeObject {
  const { name, level, precedence, by, subjects, resourceRules, nonResourceRules } = schema
  const rules = [
    {
      subjects,
      ...(resourceRules === undefined ? {} : { resourceRules }),
      ...(nonResourceRules === undefined ? {} : { nonResourceRules }),
    },
  ]
  return {
    apiVersion: API_VERSION,
    kind: 'FlowSchema',
    metadata: metadata(name),
    spec: {
      priorityLevelConfiguration: { name: level },
      matchingPrecedence: precedence,
      ...(by === undefined ? {} : { distinguisherMethod: { type: by } }),
      rules,
    },
  }
}

export function flowControlObjects(): readonly KubeObject[] {
  const limited = Object.entries(levels).map(([name, level]) => limitedLevel(name, level))
  return [exemptLevel, ...limited, ...schemas.map(flowSchema)]
}
