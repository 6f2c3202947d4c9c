/** What an update may change in a pod, and how the refusal reads. */
import { cloneJson } from '../../../../kube/clone.ts'
import type { FieldError } from '../../../../kube/field-error.ts'
import { duplicate, forbidden, invalid, required } from '../../../../kube/field-error.ts'
import { isMap } from '../../../../kube/json-map.ts'
import { checkQualifiedName } from '../../../../kube/names.ts'
import type { NodeAffinity, NodeSelectorTerm, Pod, PodSpec, Toleration } from '../../../../kube/types.ts'
import { at, semanticallyEqual } from '../support.ts'
import { ipProblems } from '../validation/addresses.ts'
import { checkEach } from '../validation/meta.ts'

const ALLOWED =
  'pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,' +
  '`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),' +
  '`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)'
const DIFFERENCES_MAX = 10

export function podUpdateProblems(next: Pod, previous: Pod): readonly FieldError[] {
  const out: FieldError[] = []
  const after = next.spec
  const before = previous.spec
  if (!after || !before) return out
  checkContainerSets(out, after, before)
  if (out.length > 0) return out
  checkDeadline(out, after, before)
  checkTolerationsKept(out, after.tolerations ?? [], before.tolerations ?? [])
  checkGates(out, after, before)
  checkNarrowed(out, after, before)
  const masked = maskChangeable(after, before)
  if (!semanticallyEqual(masked, before)) {
    const lines = differences('', before, masked).slice(0, DIFFERENCES_MAX)
    out.push(forbidden('spec', `${ALLOWED}\n${lines.join('\n')}\n`))
  }
  return out
}

/** `next` with everything that may change taken from `previous`: what differs still may not. */
function maskChangeable(next: PodSpec, previous: PodSpec): PodSpec {
  const masked = cloneJson(next)
  for (const key of ['containers', 'initContainers'] as const) {
    for (const [index, container] of (masked[key] ?? []).entries()) {
      const image = previous[key]?.[index]?.image
      if (image !== undefined) container.image = image
    }
  }
  takeOver(masked, previous, ['activeDeadlineSeconds', 'tolerations', 'schedulingGates'])
  if ((previous.terminationGracePeriodSeconds ?? 0) < 0 && masked.terminationGracePeriodSeconds === 1) {
    takeOver(masked, previous, ['terminationGracePeriodSeconds'])
  }
  if ((previous.schedulingGates ?? []).length > 0) {
    takeOver(masked, previous, ['nodeSelector'])
    maskNodeAffinity(masked, previous.affinity)
  }
  return masked
}

function maskNodeAffinity(masked: PodSpec, previous: PodSpec['affinity']): void {
  const { nodeAffinity: _changed, ...others } = masked.affinity ?? {}
  const old = previous?.nodeAffinity
  const affinity = { ...others, ...(old ? { nodeAffinity: old } : {}) }
  if (previous === undefined && Object.keys(affinity).length === 0) delete masked.affinity
  else masked.affinity = affinity
}

function takeOver(target: PodSpec, from: PodSpec, keys: readonly (keyof PodSpec)[]): void {
  const writable = target as unknown as Record<string, unknown>
  for (const key of keys) {
    if (from[key] === undefined) delete writable[key]
    else writable[key] = from[key]
  }
}

function checkContainerSets(out: FieldError[], next: PodSpec, previous: PodSpec): void {
  for (const key of ['containers', 'initContainers'] as const) {
    if ((next[key]?.length ?? 0) !== (previous[key]?.length ?? 0)) {
      out.push(forbidden(`spec.${key}`, 'pod updates may not add or remove containers'))
    }
  }
}

function checkDeadline(out: FieldError[], next: PodSpec, previous: PodSpec): void {
  const field = 'spec.activeDeadlineSeconds'
  const before = previous.activeDeadlineSeconds
  const after = next.activeDeadlineSeconds
  if (before === undefined) return
  if (after === undefined) {
    out.push(invalid(field, null, 'must not update from a positive integer to nil value'))
  } else if (after > before) {
    out.push(invalid(field, after, 'must be less than or equal to previous value'))
  }
}

function checkTolerationsKept(
  out: FieldError[],
  next: readonly Toleration[],
  previous: readonly Toleration[],
): void {
  const kept = (old: Toleration) =>
    next.some(item => semanticallyEqual({ ...item, tolerationSeconds: 0 }, { ...old, tolerationSeconds: 0 }))
  if (previous.every(kept)) return
  out.push(
    forbidden('spec.tolerations', 'existing toleration can not be modified except its tolerationSeconds'),
  )
}

function checkGates(out: FieldError[], next: PodSpec, previous: PodSpec): void {
  const before = new Set((previous.schedulingGates ?? []).map(gate => gate.name))
  for (const [index, { name }] of (next.schedulingGates ?? []).entries()) {
    if (before.has(name)) continue
    const detail = `only deletion is allowed, but found new scheduling gate '${name}'`
    out.push(forbidden(`${at('spec.schedulingGates', index)}.name`, detail))
  }
}

/** A pod that waits for its gates may be narrowed: its node selector and its node affinity grow. */
function checkNarrowed(out: FieldError[], next: PodSpec, previous: PodSpec): void {
  if ((previous.schedulingGates ?? []).length === 0) return
  const after = next.nodeSelector ?? {}
  for (const [key, value] of Object.entries(previous.nodeSelector ?? {})) {
    if (after[key] === value) continue
    const detail = 'only additions to spec.nodeSelector are allowed (no mutations or deletions)'
    out.push(invalid('spec.nodeSelector', after, detail))
    break
  }
  checkNodeAffinityGrows(out, next.affinity?.nodeAffinity, previous.affinity?.nodeAffinity)
}

const AFFINITY = 'spec.affinity.nodeAffinity'

function checkNodeAffinityGrows(
  out: FieldError[],
  next: NodeAffinity | undefined,
  previous: NodeAffinity | undefined,
): void {
  const before = previous?.requiredDuringSchedulingIgnoredDuringExecution
  if (!before) return
  const after = next?.requiredDuringSchedulingIgnoredDuringExecution
  const field = `${AFFINITY}.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms`
  const terms = after?.nodeSelectorTerms ?? []
  const old = before.nodeSelectorTerms ?? []
  if (!next || !after) {
    out.push(required(field, 'cannot be set to nil when previously set'))
  } else if (old.length > 0 && terms.length !== old.length) {
    out.push(invalid(field, terms, 'no additions/deletions to non-empty NodeSelectorTerms list are allowed'))
  } else {
    for (const [index, term] of old.entries()) checkTermGrows(out, at(field, index), terms[index], term)
  }
}

function checkTermGrows(
  out: FieldError[],
  field: string,
  next: NodeSelectorTerm | undefined,
  previous: NodeSelectorTerm,
): void {
  const isKept = (['matchExpressions', 'matchFields'] as const).every(list =>
    (previous[list] ?? []).every((item, index) => semanticallyEqual(next?.[list]?.[index], item)),
  )
  const wasEmpty = !previous.matchExpressions?.length && !previous.matchFields?.length
  const isNowFull = (next?.matchExpressions?.length ?? 0) + (next?.matchFields?.length ?? 0) > 0
  if (isKept && !(wasEmpty && isNowFull)) return
  out.push(invalid(field, next, 'only additions are allowed (no mutations or deletions)'))
}

/** The paths that differ, one line each, as `- path: old` and `+ path: new`. */
function differences(path: string, before: unknown, after: unknown): string[] {
  if (semanticallyEqual(before, after)) return []
  if (Array.isArray(before) && Array.isArray(after) && before.length === after.length) {
    return before.flatMap((item, index) => differences(at(path, index), item, after[index]))
  }
  const nested = isMap(before) && isMap(after)
  if (!nested) return [`- ${path}: ${JSON.stringify(before)}`, `+ ${path}: ${JSON.stringify(after)}`]
  const keys = new Set([...Object.keys(before), ...Object.keys(after)])
  return [...keys].flatMap(key => differences(path === '' ? key : `${path}.${key}`, before[key], after[key]))
}

const SYSTEM_CONDITIONS = ['PodScheduled', 'Ready', 'Initialized']

/** A status update may not move a pod, nor bring back a container that ended and is not to run again. */
export function podStatusProblems(next: Pod, previous: Pod): readonly FieldError[] {
  const out: FieldError[] = []
  for (const [index, { type }] of (next.status?.conditions ?? []).entries()) {
    if (SYSTEM_CONDITIONS.includes(type)) continue
    checkEach(out, `${at('metadata.conditions', index)}.Type`, type, checkQualifiedName(type))
  }
  if ((next.spec?.nodeName ?? '') !== (previous.spec?.nodeName ?? '')) {
    out.push(forbidden('status.nodeName', 'may not be changed directly'))
  }
  const qosClass = next.status?.qosClass
  if (qosClass !== previous.status?.qosClass) {
    out.push(invalid('status.qosClass', qosClass, 'field is immutable'))
  }
  const policy = previous.spec?.restartPolicy ?? 'Always'
  const sidecars = new Set(
    (previous.spec?.initContainers ?? [])
      .filter(item => item.restartPolicy === 'Always')
      .map(item => item.name),
  )
  checkEnded(out, 'containerStatuses', { next, previous, policy, restarted: new Set() })
  checkEnded(out, 'initContainerStatuses', { next, previous, policy, restarted: sidecars })
  checkEnded(out, 'ephemeralContainerStatuses', { next, previous, policy: 'Never', restarted: new Set() })
  checkAddresses(out, 'status.podIPs', next.status?.podIPs)
  checkHostAddresses(out, next)
  return out
}

function checkEnded(
  out: FieldError[],
  list: 'containerStatuses' | 'initContainerStatuses' | 'ephemeralContainerStatuses',
  parts: { next: Pod; previous: Pod; policy: string; restarted: ReadonlySet<string> },
): void {
  const { next, previous, policy, restarted } = parts
  if (policy === 'Always') return
  for (const [index, before] of (previous.status?.[list] ?? []).entries()) {
    const terminated = before.state?.terminated
    if (!terminated || (policy === 'OnFailure' && terminated.exitCode !== 0)) continue
    const after = next.status?.[list]?.find(item => item.name === before.name)
    if (restarted.has(before.name) || !after || after.state?.terminated) continue
    const detail = 'may not be transitioned to non-terminated state'
    out.push(forbidden(`${at(`status.${list}`, index)}.state`, detail))
  }
}

function checkHostAddresses(out: FieldError[], { status }: Pod): void {
  const [first] = status?.hostIPs ?? []
  if (!first) return
  if (first.ip !== status?.hostIP) {
    out.push(invalid('status.hostIPs[0].ip', first.ip, 'must be equal to `hostIP`'))
  }
  checkAddresses(out, 'status.hostIPs', status?.hostIPs)
}

function checkAddresses(
  out: FieldError[],
  field: string,
  given: readonly { ip?: string }[] | undefined,
): void {
  const list = given ?? []
  for (const [index, { ip = '' }] of list.entries()) checkEach(out, at(field, index), ip, ipProblems(ip))
  const families = new Set(list.map(({ ip = '' }) => ip.includes(':')))
  if (list.length < 2 || families.size === list.length) return
  out.push(invalid(field, list, 'may specify no more than one IP for each IP family'))
  for (const [index, item] of list.entries()) {
    if (list.slice(0, index).some(other => other.ip === item.ip)) out.push(duplicate(at(field, index), item))
  }
}
