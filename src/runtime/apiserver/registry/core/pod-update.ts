/** What an update may change in a pod, and how the refusal reads. */
import type { FieldError } from '../../../../kube/field-error.ts'
import { forbidden, invalid } from '../../../../kube/field-error.ts'
import { isMap } from '../../../../kube/json-map.ts'
import type { Pod, PodSpec, Toleration } from '../../../../kube/types.ts'
import { at, semanticallyEqual } from '../support.ts'

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
  const masked = maskChangeable(after, before)
  if (!semanticallyEqual(masked, before)) {
    const lines = differences('', before, masked).slice(0, DIFFERENCES_MAX)
    out.push(forbidden('spec', `${ALLOWED}\n${lines.join('\n')}\n`))
  }
  return out
}

/** `next` with everything that may change taken from `previous`: what differs still may not. */
function maskChangeable(next: PodSpec, previous: PodSpec): PodSpec {
  const masked = structuredClone(next)
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
    if (masked.affinity && previous.affinity?.nodeAffinity) {
      masked.affinity.nodeAffinity = previous.affinity.nodeAffinity
    }
  }
  return masked
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
  const added = (next.schedulingGates ?? []).map(gate => gate.name).filter(name => !before.has(name))
  if (added.length === 0) return
  const detail = `only deletion is allowed, but found new scheduling gate '${added[0]}'`
  out.push(forbidden('spec.schedulingGates', detail))
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

/** A status update may not move a pod, nor bring back a container that ended and is not to run again. */
export function podStatusProblems(next: Pod, previous: Pod): readonly FieldError[] {
  const out: FieldError[] = []
  if ((next.spec?.nodeName ?? '') !== (previous.spec?.nodeName ?? '')) {
    out.push(forbidden('status.nodeName', 'may not be changed directly'))
  }
  const policy = previous.spec?.restartPolicy
  if (policy === 'Always') return out
  for (const [index, before] of (previous.status?.containerStatuses ?? []).entries()) {
    const terminated = before.state?.terminated
    if (!terminated || (policy === 'OnFailure' && terminated.exitCode !== 0)) continue
    const position = (next.status?.containerStatuses ?? []).findIndex(item => item.name === before.name)
    const after = next.status?.containerStatuses?.[position]
    if (!after || after.state?.terminated) continue
    const detail = 'may not be transitioned to non-terminated state'
    out.push(forbidden(`${at('status.containerStatuses', index)}.state`, detail))
  }
  return out
}
