/** What to write so that a wanted bootstrap object is there, and keeps what users added to it. Pure. */
import { isDeepStrictEqual } from 'node:util'
import type { KubeObject } from '../../../kube/object.ts'
import type { PolicyRule, Subject } from '../../../kube/types.ts'
import { uncoveredRules } from '../authz/rules.ts'

export type BootstrapAction =
  | { readonly kind: 'none' }
  | { readonly kind: 'create'; readonly object: KubeObject }
  | { readonly kind: 'update'; readonly object: KubeObject }
  /** A binding's role and a slice's kind of address cannot be changed, so they are made anew. */
  | { readonly kind: 'replace'; readonly object: KubeObject }

const AUTOUPDATE = 'rbac.authorization.kubernetes.io/autoupdate'
const none: BootstrapAction = { kind: 'none' }

export function planBootstrap(wanted: KubeObject, present: KubeObject | null): BootstrapAction {
  if (present === null) return { kind: 'create', object: wanted }
  switch (wanted.kind) {
    case 'Role':
    case 'ClusterRole':
      return planRole(wanted, present)
    case 'RoleBinding':
    case 'ClusterRoleBinding':
      return planBinding(wanted, present)
    case 'Endpoints':
      return takeOver(wanted, present, ['subsets'])
    case 'EndpointSlice':
      if (wanted['addressType'] !== present['addressType']) return { kind: 'replace', object: wanted }
      return takeOver(wanted, present, ['endpoints', 'ports'])
    case 'Service':
      return takeOverPorts(wanted, present)
    case 'ConfigMap':
      return takeOver(wanted, present, ['data'])
    default:
      return none
  }
}

function planRole(wanted: KubeObject, present: KubeObject): BootstrapAction {
  if (present.metadata.annotations?.[AUTOUPDATE] === 'false') return none
  const metadata = mergedMetadata(wanted, present)
  // The rules of an aggregated role are the aggregation controller's.
  const missing = wanted['aggregationRule'] === undefined ? missingRules(wanted, present) : []
  if (metadata === present.metadata && missing.length === 0) return none
  return { kind: 'update', object: { ...present, metadata, rules: [...rulesOf(present), ...missing] } }
}

const rulesOf = (object: KubeObject): readonly PolicyRule[] => (object['rules'] ?? []) as PolicyRule[]

function missingRules(wanted: KubeObject, present: KubeObject): readonly PolicyRule[] {
  const [wantedRules, presentRules] = [rulesOf(wanted), rulesOf(present)]
  if (isDeepStrictEqual(wantedRules, presentRules)) return []
  return wantedRules.filter(rule => uncoveredRules(presentRules, [rule]).length > 0)
}

function planBinding(wanted: KubeObject, present: KubeObject): BootstrapAction {
  if (present.metadata.annotations?.[AUTOUPDATE] === 'false') return none
  if (!isDeepStrictEqual(wanted['roleRef'], present['roleRef'])) return { kind: 'replace', object: wanted }
  const metadata = mergedMetadata(wanted, present)
  const subjects = (present['subjects'] ?? []) as Subject[]
  const isThere = (subject: Subject) => subjects.some(other => sameSubject(subject, other))
  const missing = ((wanted['subjects'] ?? []) as Subject[]).filter(subject => !isThere(subject))
  if (metadata === present.metadata && missing.length === 0) return none
  return { kind: 'update', object: { ...present, metadata, subjects: [...subjects, ...missing] } }
}

const sameSubject = (one: Subject, other: Subject): boolean =>
  one.kind === other.kind && one.name === other.name && (one.namespace ?? '') === (other.namespace ?? '')

/** The present metadata with the wanted labels and annotations that it lacks; itself when it lacks none. */
function mergedMetadata(wanted: KubeObject, present: KubeObject): KubeObject['metadata'] {
  const { labels = {}, annotations = {} } = wanted.metadata
  const has = (map: Record<string, string> | undefined, entries: Record<string, string>) =>
    Object.keys(entries).every(key => map?.[key] !== undefined)
  const complete = has(present.metadata.labels, labels) && has(present.metadata.annotations, annotations)
  if (complete) return present.metadata
  return {
    ...present.metadata,
    labels: { ...labels, ...present.metadata.labels },
    annotations: { ...annotations, ...present.metadata.annotations },
  }
}

/** Fields that belong to the API server alone. Defaults that the server filled in are no difference. */
function takeOver(wanted: KubeObject, present: KubeObject, fields: readonly string[]): BootstrapAction {
  if (fields.every(field => includes(present[field], wanted[field]))) return none
  const own = Object.fromEntries(fields.map(field => [field, wanted[field]]))
  return { kind: 'update', object: { ...present, ...own } }
}

/** The addresses of the service stay; its port follows the API server's. */
function takeOverPorts(wanted: KubeObject, present: KubeObject): BootstrapAction {
  const { ports } = wanted['spec'] as { ports: unknown }
  const spec = present['spec'] as { ports?: unknown }
  if (includes(spec.ports, ports)) return none
  return { kind: 'update', object: { ...present, spec: { ...spec, ports } } }
}

/** Everything wanted is in `present`; lists must be of the same length. */
function includes(present: unknown, wanted: unknown): boolean {
  if (Array.isArray(wanted)) {
    if (wanted.length === 0 && present === undefined) return true
    return (
      Array.isArray(present) &&
      present.length === wanted.length &&
      wanted.every((item, index) => includes(present[index], item))
    )
  }
  if (typeof wanted !== 'object' || wanted === null) return present === wanted
  if (typeof present !== 'object' || present === null) return false
  const map = present as Record<string, unknown>
  return Object.entries(wanted).every(([key, value]) => includes(map[key], value))
}
