/** Pods. */
import type { FieldError } from '../../../../kube/field-error.ts'
import { forbidden, invalid, required } from '../../../../kube/field-error.ts'
import type { KubeObject } from '../../../../kube/object.ts'
import { qosClassOf } from '../../../../kube/qos.ts'
import { formatTime } from '../../../../kube/time.ts'
import type { Container, Pod, PodSpec } from '../../../../kube/types.ts'
import { defineKind, keepGeneration, keepMetadata, takeField } from '../kind.ts'
import type { Strategy, StrategyContext, SubresourceStrategy } from '../strategy.ts'
import { asKind, at } from '../support.ts'
import { containersWithPaths } from '../validation/pod-os.ts'
import { checkPodSpec } from '../validation/pod-spec.ts'
import { mergeLabelKeys } from './label-keys.ts'
import { checkPodAnnotations, checkProfilesAgree } from './pod-annotations.ts'
import { podTable } from './pod-columns.ts'
import { defaultPod } from './pod-defaults.ts'
import { ephemeralProblems, resizeProblems } from './pod-subresources.ts'
import { podStatusProblems, podUpdateProblems } from './pod-update.ts'

const GATED_MESSAGE = 'Scheduling is blocked due to non-empty scheduling gates'

function prepareForCreate(object: KubeObject, context: StrategyContext): void {
  const pod = asKind<Pod>(object)
  pod.status = { phase: 'Pending', qosClass: qosClassOf(pod) }
  mergeLabelKeys(pod)
  if ((pod.spec?.schedulingGates ?? []).length === 0) return
  pod.status.conditions = [
    {
      type: 'PodScheduled',
      status: 'False',
      reason: 'SchedulingGated',
      message: GATED_MESSAGE,
      lastTransitionTime: formatTime(context.nowMs),
    },
  ]
}

function validate(object: KubeObject): readonly FieldError[] {
  const pod = asKind<Pod>(object)
  if (!pod.spec) return [required('spec')]
  const out: FieldError[] = []
  checkPodAnnotations(out, pod, pod.spec)
  checkPodSpec(out, 'spec', pod.spec)
  checkTokens(out, pod.spec)
  for (const [field, { image = '' }] of containersWithPaths('spec', pod.spec)) {
    if (image === image.trim()) continue
    out.push(invalid(`${field}.image`, image, 'must not have leading or trailing whitespace'))
  }
  return out
}

function validateCreate(object: KubeObject): readonly FieldError[] {
  const pod = asKind<Pod>(object)
  const { spec } = pod
  if (!spec) return []
  const out: FieldError[] = []
  if ((spec.ephemeralContainers ?? []).length > 0) {
    out.push(forbidden('spec.ephemeralContainers', 'cannot be set on create'))
  }
  if (spec.nodeName && (spec.schedulingGates ?? []).length > 0) {
    out.push(forbidden('spec.nodeName', 'cannot be set until all schedulingGates have been cleared'))
  }
  checkProfilesAgree(out, pod, spec)
  return out
}

/** A token is somebody's. */
function checkTokens(out: FieldError[], spec: PodSpec): void {
  if (spec.serviceAccountName) return
  for (const [index, volume] of (spec.volumes ?? []).entries()) {
    for (const [position, source] of (volume.projected?.sources ?? []).entries()) {
      if (!source.serviceAccountToken) continue
      const field = at(`${at('spec.volumes', index)}.projected.sources`, position)
      const detail = 'must not be specified when serviceAccountName is not set'
      out.push(forbidden(`${field}.serviceAccountToken`, detail))
    }
  }
}

/** The status is the client's to change, but neither who owns the pod nor its QoS class. */
function prepareForStatusUpdate(next: KubeObject, previous: KubeObject): void {
  const pod = asKind<Pod>(next)
  const { ownerReferences } = previous.metadata
  if (ownerReferences === undefined) delete next.metadata.ownerReferences
  else next.metadata.ownerReferences = ownerReferences
  const before = asKind<Pod>(previous)
  const qosClass = before.status?.qosClass
  if (qosClass && !pod.status?.qosClass) pod.status = { ...pod.status, qosClass }
}

/** 0 at once when nothing runs: never scheduled, or already finished. */
function gracePeriodSeconds(object: KubeObject, requested: number | null): number {
  const pod = asKind<Pod>(object)
  const phase = pod.status?.phase
  if (!pod.spec?.nodeName || phase === 'Failed' || phase === 'Succeeded') return 0
  const seconds = requested ?? pod.spec.terminationGracePeriodSeconds ?? 0
  return seconds < 0 ? 1 : seconds
}

/** Takes everything but what `change` then sets in the spec from `previous`. */
function changeSpecOnly(next: KubeObject, previous: KubeObject, change: (spec: PodSpec) => void): void {
  keepMetadata(next, previous)
  takeField(next, previous, 'spec')
  takeField(next, previous, 'status')
  const { spec } = asKind<Pod>(next)
  if (spec) change(spec)
  keepGeneration(next, previous)
}

const ephemeralContainers: SubresourceStrategy = {
  prepareForUpdate(next, previous) {
    const added = asKind<Pod>(next).spec?.ephemeralContainers
    changeSpecOnly(next, previous, spec => {
      if (added) spec.ephemeralContainers = added
      else delete spec.ephemeralContainers
    })
  },
  validateUpdate: (next, previous) => [
    ...validate(next),
    ...ephemeralProblems(asKind<Pod>(next), asKind<Pod>(previous)),
  ],
}

const resize: SubresourceStrategy = {
  prepareForUpdate(next, previous) {
    const asked = asKind<Pod>(next).spec
    changeSpecOnly(next, previous, spec => {
      takeResources(spec.containers, asked?.containers)
      takeResources(spec.initContainers, asked?.initContainers)
      if (asked?.resources) spec.resources = asked.resources
    })
  },
  validateUpdate: (next, previous) => [
    ...validate(next),
    ...resizeProblems(asKind<Pod>(next), asKind<Pod>(previous), qosClassOf),
  ],
}

function takeResources(containers: Container[] | undefined, asked: readonly Container[] | undefined): void {
  for (const container of containers ?? []) {
    const wanted = asked?.find(item => item.name === container.name)
    if (wanted?.resources) container.resources = wanted.resources
    if (wanted?.resizePolicy) container.resizePolicy = wanted.resizePolicy
  }
}

export const pods: Strategy = defineKind({
  group: '',
  resource: 'pods',
  hasStatus: true,
  hasGeneration: true,
  applyDefaults: object => defaultPod(asKind<Pod>(object)),
  prepareForCreate,
  prepareForStatusUpdate,
  validate,
  validateCreate,
  validateUpdate: (next, previous) => podUpdateProblems(asKind<Pod>(next), asKind<Pod>(previous)),
  validateStatusUpdate: (next, previous) => podStatusProblems(asKind<Pod>(next), asKind<Pod>(previous)),
  gracePeriodSeconds,
  selectableFields(object) {
    const { spec, status } = asKind<Pod>(object)
    return {
      'spec.nodeName': spec?.nodeName ?? '',
      'spec.restartPolicy': spec?.restartPolicy ?? '',
      'spec.schedulerName': spec?.schedulerName ?? '',
      'spec.serviceAccountName': spec?.serviceAccountName ?? '',
      'spec.hostNetwork': String(spec?.hostNetwork ?? false),
      'status.phase': status?.phase ?? '',
      'status.podIP': status?.podIPs?.[0]?.ip ?? status?.podIP ?? '',
      'status.nominatedNodeName': status?.nominatedNodeName ?? '',
    }
  },
  subresources: { ephemeralcontainers: ephemeralContainers, resize },
  table: podTable,
})
