/** Pods of a namespace tolerate what the namespace says, and nothing that it does not allow. */
import { isDeepStrictEqual } from 'node:util'
import { messageOf } from '../../../base/errors.ts'
import type { KubeObject } from '../../../kube/object.ts'
import { qosClassOf } from '../../../kube/qos.ts'
import { notFound, plainFailure } from '../../../kube/status.ts'
import type { Toleration } from '../../../kube/types.ts'
import type { AdmissionPlugin, ObjectReader } from '../ports.ts'
import { podToWrite } from './refuse.ts'

export interface TolerationSettings {
  /** Of pods in namespaces that say nothing themselves. */
  readonly defaults: readonly Toleration[]
  /** All that is allowed in namespaces that say nothing themselves; empty: anything. */
  readonly whitelist: readonly Toleration[]
}

const DEFAULTS = 'scheduler.alpha.kubernetes.io/defaultTolerations'
const WHITELIST = 'scheduler.alpha.kubernetes.io/tolerationsWhitelist'
/** Who asks for memory is not sent away by its pressure. */
const PRESSURE = { key: 'node.kubernetes.io/memory-pressure', operator: 'Exists', effect: 'NoSchedule' }

export function podTolerationRestriction(
  objects: ObjectReader,
  settings: TolerationSettings,
): AdmissionPlugin {
  const namespaceOf = (name: string): KubeObject => {
    const found = objects.get('', 'namespaces', '', name)
    if (found === null) throw notFound({ group: '', resource: 'namespaces' }, name)
    return found
  }
  return {
    name: 'PodTolerationRestriction',
    admit(request) {
      const pod = podToWrite(request)
      if (pod?.spec === undefined) return
      const own = pod.spec.tolerations ?? []
      const added =
        request.operation === 'CREATE'
          ? (annotated(namespaceOf(request.namespace), DEFAULTS) ?? settings.defaults)
          : []
      const merged = added.length === 0 ? own : mergeTolerations(added, own)
      const final = qosClassOf(pod) === 'BestEffort' ? merged : mergeTolerations(merged, [PRESSURE])
      if (final.length > 0) pod.spec.tolerations = [...final]
    },
    validate(request) {
      const tolerations = podToWrite(request)?.spec?.tolerations ?? []
      if (tolerations.length === 0) return
      const ofNamespace = annotated(namespaceOf(request.namespace), WHITELIST)
      const allowed = ofNamespace ?? settings.whitelist
      if (allowed.length === 0) return
      if (tolerations.every(one => allowed.some(other => coversAll(other, one)))) return
      const scope = ofNamespace === undefined ? 'cluster' : 'namespace'
      throw plainFailure(
        `pod tolerations (possibly merged with ${scope} default tolerations) conflict with its ${scope} whitelist`,
      )
    },
  }
}

function annotated(namespace: KubeObject, key: string): readonly Toleration[] | undefined {
  const text = namespace.metadata.annotations?.[key]
  if (text === undefined) return undefined
  if (text === '') return []
  try {
    const value: unknown = JSON.parse(text)
    if (value === null) return undefined
    if (Array.isArray(value)) return value as Toleration[]
  } catch (error) {
    throw plainFailure(messageOf(error))
  }
  throw plainFailure(`the annotation ${key} is not a list of tolerations`)
}

const sameText = (a: string | undefined, b: string | undefined): boolean => (a ?? '') === (b ?? '')

/** Both lists without what another of them covers; of equal ones the first stays. */
export function mergeTolerations(
  first: readonly Toleration[],
  second: readonly Toleration[],
): readonly Toleration[] {
  const all = [...first, ...second]
  const merged: Toleration[] = []
  for (const [at, one] of all.entries()) {
    const later = all.slice(at + 1).some(other => !isDeepStrictEqual(other, one) && coversAll(other, one))
    if (!later && !merged.some(other => coversAll(other, one))) merged.push(one)
  }
  return merged
}

/** Whether `wide` tolerates all that `narrow` does, and for as long. */
function coversAll(wide: Toleration, narrow: Toleration): boolean {
  if (isDeepStrictEqual({ ...wide }, { ...narrow })) return true
  const isForAllKeys = !wide.key && wide.operator === 'Exists'
  if (!sameText(wide.key, narrow.key) && !isForAllKeys) return false
  if (wide.effect && wide.effect !== narrow.effect) return false
  if (wide.effect === 'NoExecute' && wide.tolerationSeconds !== undefined) {
    if (narrow.tolerationSeconds === undefined || narrow.tolerationSeconds > wide.tolerationSeconds)
      return false
  }
  if (wide.operator === 'Exists') return true
  if (wide.operator && wide.operator !== 'Equal') return false
  return narrow.operator === 'Equal' && sameText(wide.value, narrow.value)
}
