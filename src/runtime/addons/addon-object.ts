/** The custom resource `addons.mk8s.io/v1` Addon: what a cluster wants of an add-on, and what became of it. */
import type { ResourceRef } from '../../client/resources.ts'
import type { KubeObject } from '../../kube/object.ts'

export const ADDON_GROUP = 'addons.mk8s.io'
export const ADDON_API_VERSION = `${ADDON_GROUP}/v1`
export const ADDONS: ResourceRef = {
  group: ADDON_GROUP,
  version: 'v1',
  resource: 'addons',
  namespaced: false,
}
/** On every object that an add-on has made. */
export const NAME_LABEL = 'addons.mk8s.io/name'
/** On the ConfigMaps that keep an add-on's definition and manifests. */
export const BUNDLE_LABEL = 'addons.mk8s.io/bundle-of'
export const FIELD_MANAGER = 'mk8s-addons'
export const FINALIZER = 'addons.mk8s.io/objects'
export const CORE_REPOSITORY = 'core'

export type ParameterValue = string | number | boolean | readonly string[]
export type ParameterValues = Readonly<Record<string, ParameterValue>>

export interface AddonSpec {
  /** False: disabled; its data stays unless `purge` says otherwise. */
  readonly enabled?: boolean
  readonly purge?: boolean
  readonly repository?: string
  readonly version?: string
  /** The ConfigMap in kube-system that has the definition and the manifests of this version. */
  readonly bundle?: string
  /** What differs from the defaults. */
  readonly parameters?: ParameterValues
}

/** An object that an add-on has made. */
export interface ObjectName {
  readonly apiVersion: string
  readonly kind: string
  readonly namespace?: string
  readonly name: string
}

export interface AddonCondition {
  readonly type: 'Ready' | 'Progressing'
  readonly status: 'True' | 'False'
  readonly reason: string
  readonly message: string
  readonly lastTransitionTime: string
  readonly observedGeneration?: number
}

/** How a part does on one node; written by the node itself. */
export interface NodeReport {
  readonly name: string
  readonly part: string
  readonly ready: boolean
  readonly message: string
  /** Of which parameters it tells. */
  readonly parameters?: string
}

/** An object that somebody had changed, and that was put back. */
export interface Correction {
  readonly object: string
  /** The field manager that wrote last. */
  readonly by: string
  /** How often in a row. */
  readonly count: number
  readonly time: string
}

export type AddonPhase = 'Pending' | 'Progressing' | 'Ready' | 'Failed' | 'Disabling' | 'Disabled'

export interface AddonStatus {
  readonly phase?: AddonPhase
  readonly message?: string
  /** The object that keeps the add-on from being ready. */
  readonly failing?: string
  readonly version?: string
  readonly observedGeneration?: number
  readonly conditions?: readonly AddonCondition[]
  /** What was rendered last, and applied as a whole. */
  readonly applied?: string
  readonly objects?: readonly ObjectName[]
  /** What runs in the daemons of all nodes, and with what. */
  readonly parts?: readonly string[]
  readonly parameters?: ParameterValues
  readonly nodes?: readonly NodeReport[]
  /** The newest ones, newest first. */
  readonly corrections?: readonly Correction[]
}

export interface Addon extends KubeObject {
  readonly spec?: AddonSpec
  readonly status?: AddonStatus
}

export const isEnabled = ({ spec, metadata }: Pick<Addon, 'spec' | 'metadata'>): boolean =>
  spec?.enabled !== false && metadata.deletionTimestamp === undefined

const text = { type: 'string' }
const texts = { type: 'array', items: text, 'x-kubernetes-list-type': 'atomic' }
const free = { type: 'object', 'x-kubernetes-preserve-unknown-fields': true }
const record = (properties: object, required: readonly string[] = []) => ({
  type: 'object',
  properties,
  ...(required.length > 0 ? { required } : {}),
})

const SPEC = record({
  enabled: { type: 'boolean', default: true },
  purge: { type: 'boolean' },
  repository: { ...text, maxLength: 63 },
  version: { ...text, maxLength: 63 },
  bundle: { ...text, maxLength: 253 },
  parameters: free,
})

const CONDITION = record(
  {
    type: text,
    status: { type: 'string', enum: ['True', 'False', 'Unknown'] },
    reason: text,
    message: text,
    lastTransitionTime: { type: 'string', format: 'date-time' },
    observedGeneration: { type: 'integer', format: 'int64' },
  },
  ['type', 'status'],
)

const NODE = record({ name: text, part: text, ready: { type: 'boolean' }, message: text, parameters: text }, [
  'name',
  'part',
])

const CORRECTION = record(
  { object: text, by: text, count: { type: 'integer' }, time: { type: 'string', format: 'date-time' } },
  ['object'],
)

const mapOf = (items: object, keys: readonly string[]) => ({
  type: 'array',
  items,
  'x-kubernetes-list-type': 'map',
  'x-kubernetes-list-map-keys': keys,
})

const STATUS = record({
  phase: text,
  message: text,
  failing: text,
  version: text,
  observedGeneration: { type: 'integer', format: 'int64' },
  conditions: mapOf(CONDITION, ['type']),
  applied: text,
  objects: {
    type: 'array',
    items: record({ apiVersion: text, kind: text, namespace: text, name: text }),
    'x-kubernetes-list-type': 'atomic',
  },
  parts: texts,
  parameters: { ...free, 'x-kubernetes-map-type': 'atomic' },
  nodes: mapOf(NODE, ['name', 'part']),
  corrections: { type: 'array', items: CORRECTION, 'x-kubernetes-list-type': 'atomic' },
})

const column = (name: string, jsonPath: string, type = 'string') => ({ name, type, jsonPath })

export const ADDON_DEFINITION: KubeObject = {
  apiVersion: 'apiextensions.k8s.io/v1',
  kind: 'CustomResourceDefinition',
  metadata: { name: `addons.${ADDON_GROUP}`, labels: { 'app.kubernetes.io/managed-by': 'mk8s' } },
  spec: {
    group: ADDON_GROUP,
    scope: 'Cluster',
    names: { kind: 'Addon', listKind: 'AddonList', plural: 'addons', singular: 'addon' },
    versions: [
      {
        name: 'v1',
        served: true,
        storage: true,
        subresources: { status: {} },
        additionalPrinterColumns: [
          column('Enabled', '.spec.enabled', 'boolean'),
          column('Version', '.status.version'),
          column('Phase', '.status.phase'),
          column('Message', '.status.message'),
          column('Age', '.metadata.creationTimestamp', 'date'),
        ],
        schema: { openAPIV3Schema: record({ spec: SPEC, status: STATUS }) },
      },
    ],
  },
}

const role = (name: string, rules: object[], labels: Record<string, string> = {}): KubeObject => ({
  apiVersion: 'rbac.authorization.k8s.io/v1',
  kind: 'ClusterRole',
  metadata: { name, labels: { 'app.kubernetes.io/managed-by': 'mk8s', ...labels } },
  rules,
})

const VIEW = 'rbac.authorization.k8s.io/aggregate-to-view'

/** Nodes follow the add-ons, and tell how their parts do; everybody with a view may look. */
export const ADDON_ROLES: readonly KubeObject[] = [
  role(
    'mk8s:addons-view',
    [{ apiGroups: [ADDON_GROUP], resources: ['addons'], verbs: ['get', 'list', 'watch'] }],
    { [VIEW]: 'true' },
  ),
  role('mk8s:addons-node', [
    { apiGroups: [ADDON_GROUP], resources: ['addons'], verbs: ['get', 'list', 'watch'] },
    { apiGroups: [ADDON_GROUP], resources: ['addons/status'], verbs: ['patch'] },
  ]),
  {
    apiVersion: 'rbac.authorization.k8s.io/v1',
    kind: 'ClusterRoleBinding',
    metadata: { name: 'mk8s:addons-node', labels: { 'app.kubernetes.io/managed-by': 'mk8s' } },
    roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'mk8s:addons-node' },
    subjects: [{ apiGroup: 'rbac.authorization.k8s.io', kind: 'Group', name: 'system:nodes' }],
  },
]
