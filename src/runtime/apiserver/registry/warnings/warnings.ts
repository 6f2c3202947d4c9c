/** What clients are told about objects of built-in kinds that are fine otherwise, in upstream's words. Pure. */
import type { KubeObject } from '../../../../kube/object.ts'
import type {
  CronJob,
  Ingress,
  Job,
  PersistentVolume,
  PersistentVolumeClaim,
  Pod,
  RuntimeClass,
  Service,
  StatefulSet,
  StorageClass,
} from '../../../../kube/types.ts'
import { asKind } from '../support.ts'
import { addressWarnings, cidrWarnings, nameWarnings, nodeSelectorWarnings, termWarnings } from './labels.ts'
import { claimSizeWarnings, type PodLike, podWarnings } from './pods.ts'

/** `previous` is null for a new object. */
type Warn = (next: KubeObject, previous: KubeObject | null) => readonly string[]

const POD_NAMES = 'Pod names and hostnames'
const SPEC = 'spec.template'

const templateOf = (object: KubeObject): PodLike =>
  (object['spec'] as { template?: PodLike } | undefined)?.template ?? {}

const isSameSpec = (next: KubeObject, previous: KubeObject | null): boolean =>
  previous !== null && next.metadata.generation === previous.metadata.generation

/** Of whatever makes pods from a template. */
function workload(hasPodNames: boolean, more: Warn = () => []): Warn {
  return (next, previous) => {
    if (isSameSpec(next, previous)) return []
    const names = hasPodNames && previous === null ? nameWarnings(next.metadata.name, POD_NAMES) : []
    return [...names, ...more(next, previous), ...podWarnings(SPEC, templateOf(next))]
  }
}

const pods: Warn = (next, previous) => {
  // Whoever changes a pod is seldom the one who wrote it.
  if (previous !== null) return []
  return [...nameWarnings(next.metadata.name, "the Pod's hostname"), ...podWarnings('', asKind<Pod>(next))]
}

const statefulSets = workload(false, (next, previous) => {
  const { volumeClaimTemplates = [], revisionHistoryLimit } = asKind<StatefulSet>(next).spec ?? {}
  const isNegative = previous === null && Number(revisionHistoryLimit ?? 0) < 0
  return [
    ...volumeClaimTemplates.flatMap(({ spec }, index) =>
      claimSizeWarnings(`spec.volumeClaimTemplates[${index}].resources`, spec?.resources),
    ),
    ...(isNegative
      ? [
          'spec.revisionHistoryLimit: a negative value retains all historical revisions; ' +
            'a value >= 0 is recommended',
        ]
      : []),
  ]
})

const COMPLETIONS_MAX = 100_000
const PARALLELISM_MAX = 10_000

function indexWarnings(path: string, spec: Job['spec'] | undefined): readonly string[] {
  const { completionMode, completions, parallelism } = spec ?? {}
  const isLarge = Number(completions ?? 0) > COMPLETIONS_MAX && Number(parallelism ?? 0) > PARALLELISM_MAX
  if (completionMode !== 'Indexed' || !isLarge) return []
  return [
    `${path}: In Indexed Jobs with a number of completions higher than 10^5 and a parallelism higher than 10^4, ` +
      'Kubernetes might not be able to track completedIndexes when a big number of indexes fail',
  ]
}

const jobs = workload(true, next => indexWarnings('spec', asKind<Job>(next).spec))

const cronJobs: Warn = (next, previous) => {
  if (isSameSpec(next, previous)) return []
  const { jobTemplate, schedule = '' } = asKind<CronJob>(next).spec ?? {}
  const path = 'spec.jobTemplate.spec'
  return [
    ...(previous === null ? nameWarnings(next.metadata.name, POD_NAMES) : []),
    ...indexWarnings(path, jobTemplate?.spec),
    ...podWarnings(`${path}.template`, jobTemplate?.spec?.template ?? {}),
    ...(schedule.includes('TZ')
      ? [
          'CRON_TZ or TZ used in spec.spec.schedule is not officially supported, see https://kubernetes.io/docs/' +
            'concepts/workloads/controllers/cron-jobs/#unsupported-timezone-specification for more details',
        ]
      : []),
  ]
}

const HINTS = 'service.kubernetes.io/topology-aware-hints'

const services: Warn = next => {
  const { spec = {}, metadata } = asKind<Service>(next)
  const { type = 'ClusterIP', clusterIP = '', externalIPs = [], loadBalancerIP = '' } = spec
  const isHeadless = type === 'ClusterIP' && clusterIP === 'None'
  const isName = type === 'ExternalName'
  const said: (readonly [holds: boolean, text: string])[] = [
    [
      HINTS in (metadata.annotations ?? {}),
      `annotation ${HINTS} is deprecated, please use service.kubernetes.io/topology-mode instead`,
    ],
    [isHeadless && loadBalancerIP !== '', 'spec.loadBalancerIP is ignored for headless services'],
    [isHeadless && externalIPs.length > 0, 'spec.externalIPs is ignored for headless services'],
    [
      isHeadless && (spec.sessionAffinity ?? 'None') !== 'None',
      'spec.SessionAffinity is ignored for headless services',
    ],
    [
      externalIPs.length > 0 && !isHeadless && !isName,
      'spec.externalIPs is deprecated and may no longer be implemented in some clusters',
    ],
    [isName && externalIPs.length > 0, 'spec.externalIPs is ignored when spec.type is "ExternalName"'],
    [
      !isName && Boolean(spec.externalName),
      'spec.externalName is ignored when spec.type is not "ExternalName"',
    ],
    [
      spec.trafficDistribution === 'PreferClose',
      'spec.trafficDistribution: "PreferClose" is deprecated; use "PreferSameZone"',
    ],
  ]
  return [
    ...said.flatMap(([holds, text]) => (holds ? [text] : [])),
    ...(spec.clusterIPs ?? []).flatMap((text, index) => addressWarnings(`spec.clusterIPs[${index}]`, text)),
    ...externalIPs.flatMap((text, index) => addressWarnings(`spec.externalIPs[${index}]`, text)),
    ...(loadBalancerIP === '' ? [] : addressWarnings('spec.loadBalancerIP', loadBalancerIP)),
    ...(spec.loadBalancerSourceRanges ?? []).flatMap((text, index) =>
      cidrWarnings(`spec.loadBalancerSourceRanges[${index}]`, text),
    ),
  ]
}

const CLASS = 'kubernetes.io/ingress.class'

const ingresses: Warn = (next, previous) => {
  const { annotations = {} } = asKind<Ingress>(next).metadata
  if (previous !== null || !(CLASS in annotations)) return []
  return [`annotation "${CLASS}" is deprecated, please use 'spec.ingressClassName' instead`]
}

const STORAGE_CLASS = 'volume.beta.kubernetes.io/storage-class'
const MOUNT_OPTIONS = 'volume.beta.kubernetes.io/mount-options'

const usesAnnotation = ({ metadata }: KubeObject, key: string, since: string, field: string): string[] =>
  key in (metadata.annotations ?? {})
    ? [`metadata.annotations[${key}]: deprecated since ${since}; use "${field}" attribute instead`]
    : []

const claims: Warn = next => [
  ...usesAnnotation(next, STORAGE_CLASS, 'v1.8', 'storageClassName'),
  ...claimSizeWarnings('spec.resources', asKind<PersistentVolumeClaim>(next).spec?.resources),
]

const volumes: Warn = next => {
  const { spec } = asKind<PersistentVolume>(next)
  const terms = spec?.nodeAffinity?.required?.nodeSelectorTerms ?? []
  return [
    ...usesAnnotation(next, STORAGE_CLASS, 'v1.8', 'storageClassName'),
    ...usesAnnotation(next, MOUNT_OPTIONS, 'v1.31', 'mountOptions'),
    ...(spec?.persistentVolumeReclaimPolicy === 'Recycle'
      ? [
          'spec.persistentVolumeReclaimPolicy: The Recycle reclaim policy is deprecated. ' +
            'Instead, the recommended approach is to use dynamic provisioning.',
        ]
      : []),
    ...terms.flatMap(({ matchExpressions }, index) =>
      termWarnings(
        `spec.nodeAffinity.required.nodeSelectorTerms[${index}].matchExpressions`,
        matchExpressions,
      ),
    ),
  ]
}

const storageClasses: Warn = next =>
  (asKind<StorageClass>(next).allowedTopologies ?? []).flatMap(({ matchLabelExpressions }, index) =>
    termWarnings(`allowedTopologies[${index}].matchLabelExpressions`, matchLabelExpressions),
  )

const runtimeClasses: Warn = next =>
  nodeSelectorWarnings('scheduling.nodeSelector', asKind<RuntimeClass>(next).scheduling?.nodeSelector)

const MOUNTABLE = 'kubernetes.io/enforce-mountable-secrets'

const serviceAccounts: Warn = (next, previous) => {
  const has = (object: KubeObject | null) => MOUNTABLE in (object?.metadata.annotations ?? {})
  if (!has(next) || has(previous)) return []
  const advice = 'prefer separate namespaces to isolate access to mounted secrets'
  return [`metadata.annotations[${MOUNTABLE}]: deprecated in v1.32+; ${advice}`]
}

const nodes: Warn = next => {
  const { spec = {} } = next as unknown as { spec?: { configSource?: unknown; externalID?: string } }
  return [
    ...(spec.configSource ? ['spec.configSource: the feature is no longer available'] : []),
    ...(spec.externalID ? ['spec.externalID: this field is deprecated, and is unused by Kubernetes'] : []),
  ]
}

const podTemplates: Warn = (next, previous) =>
  isSameSpec(next, previous) && previous?.metadata.generation !== undefined
    ? []
    : podWarnings('template', (next['template'] as PodLike | undefined) ?? {})

/** By `group/resource`. */
export const builtInWarnings: ReadonlyMap<string, Warn> = new Map([
  ['/pods', pods],
  ['/podtemplates', podTemplates],
  ['/replicationcontrollers', workload(true)],
  ['apps/replicasets', workload(true)],
  ['apps/deployments', workload(true)],
  ['apps/daemonsets', workload(false)],
  ['apps/statefulsets', statefulSets],
  ['batch/jobs', jobs],
  ['batch/cronjobs', cronJobs],
  ['/services', services],
  ['/serviceaccounts', serviceAccounts],
  ['/nodes', nodes],
  ['/persistentvolumes', volumes],
  ['/persistentvolumeclaims', claims],
  ['networking.k8s.io/ingresses', ingresses],
  ['node.k8s.io/runtimeclasses', runtimeClasses],
  ['storage.k8s.io/storageclasses', storageClasses],
])
