/** The APIService objects of what this server serves itself: which there have to be, and what to change. Pure. */
import type { KubeObject } from '../../../kube/object.ts'
import type { CustomResourceDefinition } from '../../../kube/types.ts'

export interface LocalVersion {
  readonly group: string
  readonly version: string
  /** Somebody's own APIService for it is left alone. */
  readonly isOptional?: boolean
  /** False: it is switched off, and its APIService goes. */
  readonly isOn?: () => boolean
}

export type RegistrationAction =
  | { readonly kind: 'create'; readonly object: KubeObject }
  | { readonly kind: 'update'; readonly object: KubeObject }
  | { readonly kind: 'delete'; readonly name: string }

const AUTOMANAGED = 'kube-aggregator.kubernetes.io/automanaged'
const ON_START = 'onstart'
const ALWAYS = 'true'

/** As kube-apiserver gives them: how far ahead a group is shown. */
const GROUPS: Readonly<Record<string, number>> = {
  '': 18_000,
  apps: 17_800,
  'events.k8s.io': 17_750,
  'authentication.k8s.io': 17_700,
  'authorization.k8s.io': 17_600,
  autoscaling: 17_500,
  batch: 17_400,
  'certificates.k8s.io': 17_300,
  'networking.k8s.io': 17_200,
  policy: 17_100,
  'rbac.authorization.k8s.io': 17_000,
  'storage.k8s.io': 16_800,
  'apiextensions.k8s.io': 16_700,
  'admissionregistration.k8s.io': 16_700,
  'scheduling.k8s.io': 16_600,
  'coordination.k8s.io': 16_500,
  'node.k8s.io': 16_300,
  'discovery.k8s.io': 16_200,
  'flowcontrol.apiserver.k8s.io': 16_100,
  'resource.k8s.io': 15_900,
  'metrics.k8s.io': 100,
}
const VERSIONS: Readonly<Record<string, number>> = {
  '/v1': 1,
  'autoscaling/v2': 30,
  'flowcontrol.apiserver.k8s.io/v1': 21,
  'metrics.k8s.io/v1beta1': 100,
}
const OTHER_GROUP = 15_000
const OTHER_VERSION = 15
const CUSTOM_GROUP = 1_000
const CUSTOM_VERSION = 100
/** The group of APIService itself has none. */
const OWN_GROUP = 'apiregistration.k8s.io'

/** Versions that established definitions serve. */
export function customVersions(definitions: readonly KubeObject[]): readonly LocalVersion[] {
  const found = new Map<string, LocalVersion>()
  for (const object of definitions) {
    const { spec, status, metadata } = object as unknown as CustomResourceDefinition
    const conditions = status?.conditions ?? []
    const isEstablished = conditions.some(one => one.type === 'Established' && one.status === 'True')
    if (!isEstablished || metadata.deletionTimestamp !== undefined) continue
    for (const { name, served } of spec?.versions ?? []) {
      if (served) found.set(`${spec.group}/${name}`, { group: spec.group, version: name })
    }
  }
  return [...found.values()]
}

export interface RegistrationFacts {
  /** May name one several times. */
  readonly builtIn: readonly LocalVersion[]
  readonly custom: readonly LocalVersion[]
  readonly present: readonly KubeObject[]
  /** Once per start, the built-in ones are put right. */
  readonly isStart: boolean
}

export function planRegistration(facts: RegistrationFacts): RegistrationAction[] {
  const present = new Map(facts.present.map(object => [object.metadata.name ?? '', object]))
  const actions: RegistrationAction[] = []
  const distinct = new Map(facts.builtIn.map(one => [`${one.group}/${one.version}`, one]))
  for (const one of distinct.values()) {
    if (one.group === OWN_GROUP) continue
    const wanted = apiServiceOf(one, ON_START)
    const found = present.get(wanted.metadata.name ?? '')
    if (one.isOn?.() === false) {
      const isOwn =
        found !== undefined && found.metadata.labels?.[AUTOMANAGED] === ON_START && !hasService(found)
      if (isOwn) actions.push({ kind: 'delete', name: wanted.metadata.name ?? '' })
      continue
    }
    if (found === undefined) actions.push({ kind: 'create', object: wanted })
    else if (facts.isStart && !(one.isOptional && hasService(found)))
      actions.push(...correction(found, wanted))
  }
  const custom = new Set<string>()
  for (const one of facts.custom) {
    const wanted = apiServiceOf(one, ALWAYS)
    const { name = '' } = wanted.metadata
    custom.add(name)
    const found = present.get(name)
    if (found === undefined) actions.push({ kind: 'create', object: wanted })
    else if (found.metadata.labels?.[AUTOMANAGED] === ALWAYS) actions.push(...correction(found, wanted))
  }
  for (const [name, object] of present) {
    if (object.metadata.labels?.[AUTOMANAGED] !== ALWAYS || custom.has(name)) continue
    actions.push({ kind: 'delete', name })
  }
  return actions
}

const hasService = (object: KubeObject): boolean =>
  (object['spec'] as Record<string, unknown> | undefined)?.['service'] !== undefined

/** What somebody changed about an object that is managed here is changed back. */
function correction(found: KubeObject, wanted: KubeObject): RegistrationAction[] {
  if (found.metadata.labels?.[AUTOMANAGED] === undefined) return []
  const spec = found['spec'] as Record<string, unknown>
  const own = wanted['spec'] as Record<string, unknown>
  const isSame = Object.keys(own).every(key => spec[key] === own[key]) && spec['service'] === undefined
  return isSame ? [] : [{ kind: 'update', object: { ...found, spec: own } }]
}

function apiServiceOf({ group, version }: LocalVersion, managed: string): KubeObject {
  const isCustom = managed === ALWAYS
  return {
    apiVersion: 'apiregistration.k8s.io/v1',
    kind: 'APIService',
    metadata: { name: `${version}.${group}`, labels: { [AUTOMANAGED]: managed } },
    spec: {
      ...(group === '' ? {} : { group }),
      version,
      groupPriorityMinimum: isCustom ? CUSTOM_GROUP : (GROUPS[group] ?? OTHER_GROUP),
      versionPriority: isCustom ? CUSTOM_VERSION : (VERSIONS[`${group}/${version}`] ?? OTHER_VERSION),
    },
  }
}
