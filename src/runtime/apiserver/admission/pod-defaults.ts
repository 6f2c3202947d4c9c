/** What every pod gets: a priority, tolerations for a node that is briefly gone, and its runtime's overhead. */
import { isDeepStrictEqual } from 'node:util'
import type { PodSpec, PriorityClass, RuntimeClass, Toleration } from '../../../kube/types.ts'
import type { AdmissionPlugin, AdmissionRequest, ObjectReader } from '../ports.ts'
import { isWhole, podToCreate, refuse } from './refuse.ts'

const SCHEDULING = 'scheduling.k8s.io'

export function priority(objects: ObjectReader): AdmissionPlugin {
  const classes = () => objects.list(SCHEDULING, 'priorityclasses') as unknown as readonly PriorityClass[]
  return {
    name: 'Priority',
    admit(request) {
      const spec = podToCreate(request)?.spec
      if (spec === undefined) return
      setPriority(request, spec, classes())
    },
    validate(request) {
      if (request.operation === 'DELETE' || !isWhole(request, SCHEDULING, 'priorityclasses')) return
      const wanted = request.object as unknown as PriorityClass | null
      if (wanted?.globalDefault !== true) return
      const other = classes().find(
        item => item.globalDefault === true && item.metadata.name !== wanted.metadata.name,
      )
      if (other === undefined) return
      const name = other.metadata.name
      throw refuse(request, `PriorityClass ${name} is already marked as default. Only one default can exist`)
    },
  }
}

function setPriority(request: AdmissionRequest, spec: PodSpec, classes: readonly PriorityClass[]): void {
  const chosen = spec.priorityClassName ? named(request, spec.priorityClassName, classes) : byDefault(classes)
  if (!spec.priorityClassName && chosen?.metadata.name !== undefined) {
    spec.priorityClassName = chosen.metadata.name
  }
  const value = chosen?.value ?? 0
  if (spec.priority !== undefined && spec.priority !== value) {
    throw refuse(
      request,
      `the integer value of priority (${spec.priority}) must not be provided in pod spec; ` +
        `priority admission controller computed ${value} from the given PriorityClass name`,
    )
  }
  const policy = chosen?.preemptionPolicy ?? 'PreemptLowerPriority'
  if (spec.preemptionPolicy !== undefined && spec.preemptionPolicy !== policy) {
    throw refuse(
      request,
      `the string value of PreemptionPolicy (${spec.preemptionPolicy}) must not be provided in pod spec; ` +
        `priority admission controller computed ${policy} from the given PriorityClass name`,
    )
  }
  spec.priority = value
  spec.preemptionPolicy = policy
}

function named(request: AdmissionRequest, name: string, classes: readonly PriorityClass[]): PriorityClass {
  const found = classes.find(item => item.metadata.name === name)
  if (found === undefined) throw refuse(request, `no PriorityClass with name ${name} was found`)
  return found
}

/** There should be one default only; of several the lowest counts. */
function byDefault(classes: readonly PriorityClass[]): PriorityClass | undefined {
  return classes
    .filter(item => item.globalDefault === true)
    .sort((a, b) => (a.value ?? 0) - (b.value ?? 0))[0]
}

const GONE = ['node.kubernetes.io/not-ready', 'node.kubernetes.io/unreachable']

/** `seconds`: how long a pod stays on a node that is gone, unless it says so itself. */
export function defaultTolerationSeconds(seconds: number): AdmissionPlugin {
  return {
    name: 'DefaultTolerationSeconds',
    admit(request) {
      const writes = request.operation === 'CREATE' || request.operation === 'UPDATE'
      if (!writes || !isWhole(request, '', 'pods') || request.object === null) return
      const spec = request.object['spec'] as PodSpec | undefined
      if (spec === undefined) return
      const present = spec.tolerations ?? []
      const lacking = GONE.filter(key => !present.some(toleration => toleratesEviction(toleration, key)))
      if (lacking.length === 0) return
      const added = lacking.map(key => ({
        key,
        operator: 'Exists',
        effect: 'NoExecute',
        tolerationSeconds: seconds,
      }))
      spec.tolerations = [...present, ...added]
    },
  }
}

const toleratesEviction = ({ key = '', effect = '' }: Toleration, wanted: string): boolean =>
  (key === '' || key === wanted) && (effect === '' || effect === 'NoExecute')

export function runtimeClass(objects: ObjectReader): AdmissionPlugin {
  return {
    name: 'RuntimeClass',
    admit(request) {
      const spec = podToCreate(request)?.spec
      if (!spec?.runtimeClassName) {
        refuseOverhead(request, spec)
        return
      }
      const found = objects.get('node.k8s.io', 'runtimeclasses', '', spec.runtimeClassName)
      if (found === null) {
        const name = JSON.stringify(spec.runtimeClassName)
        throw refuse(request, `pod rejected: RuntimeClass ${name} not found`)
      }
      applyRuntimeClass(request, spec, found as unknown as RuntimeClass)
    },
  }
}

/** Overhead comes from a class, never from the pod alone. */
function refuseOverhead(request: AdmissionRequest, spec: PodSpec | undefined): void {
  if (Object.keys(spec?.overhead ?? {}).length === 0) return
  throw refuse(request, 'pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead')
}

function applyRuntimeClass(request: AdmissionRequest, spec: PodSpec, wanted: RuntimeClass): void {
  const overhead = wanted.overhead?.podFixed
  if (overhead !== undefined) {
    if (spec.overhead !== undefined && !isDeepStrictEqual({ ...spec.overhead }, { ...overhead })) {
      throw refuse(request, "pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead")
    }
    spec.overhead = { ...overhead }
  } else refuseOverhead(request, spec)
  const { nodeSelector = {}, tolerations = [] } = wanted.scheduling ?? {}
  for (const [key, value] of Object.entries(nodeSelector)) {
    const given = spec.nodeSelector?.[key]
    if (given !== undefined && given !== value) {
      const wantedHere = `runtimeClass.scheduling.nodeSelector[${key}] = ${value}`
      throw refuse(request, `conflict: ${wantedHere}; pod.spec.nodeSelector[${key}] = ${given}`)
    }
    spec.nodeSelector = { ...spec.nodeSelector, [key]: value }
  }
  const present = spec.tolerations ?? []
  const added = tolerations.filter(
    item => !present.some(other => isDeepStrictEqual({ ...other }, { ...item })),
  )
  if (added.length > 0) spec.tolerations = [...present, ...added.map(item => ({ ...item }))]
}
