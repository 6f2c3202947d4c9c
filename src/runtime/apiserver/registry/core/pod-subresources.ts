/** What `pods/ephemeralcontainers` and `pods/resize` may change, and how the refusal reads. */
import type { FieldError } from '../../../../kube/field-error.ts'
import { forbidden, invalid } from '../../../../kube/field-error.ts'
import type { Pod } from '../../../../kube/types.ts'
import { at, semanticallyEqual } from '../support.ts'

const MIRROR = 'kubernetes.io/config.mirror'

const isStatic = ({ metadata }: Pod): boolean => metadata.annotations?.[MIRROR] !== undefined

/** Ephemeral containers are added, and then stay as they are. */
export function ephemeralProblems(next: Pod, previous: Pod): readonly FieldError[] {
  if (isStatic(previous)) return [forbidden('', 'static pods do not support ephemeral containers')]
  const out: FieldError[] = []
  const after = next.spec?.ephemeralContainers ?? []
  for (const old of previous.spec?.ephemeralContainers ?? []) {
    const now = after.find(item => item.name === old.name)
    if (now !== undefined && semanticallyEqual(now, old)) continue
    const what = now === undefined ? 'removed' : 'changed'
    out.push(
      forbidden(
        'spec.ephemeralContainers',
        `existing ephemeral containers ${JSON.stringify(old.name)} may not be ${what}\n`,
      ),
    )
  }
  return out
}

/** Amounts of CPU and memory change while a pod runs; its class of service does not. */
export function resizeProblems(
  next: Pod,
  previous: Pod,
  qosClass: (pod: Pod) => string,
): readonly FieldError[] {
  if (isStatic(previous)) return [forbidden('', 'static pods cannot be resized')]
  const out: FieldError[] = []
  const wanted = qosClass(next)
  if (wanted !== (previous.status?.qosClass ?? qosClass(previous))) {
    out.push(invalid('spec', wanted, 'Pod QOS Class may not change as a result of resizing'))
  }
  const before = previous.spec?.containers ?? []
  for (const [index, container] of (next.spec?.containers ?? []).entries()) {
    const field = `${at('spec.containers', index)}.resources`
    for (const part of ['requests', 'limits'] as const) {
      const removed = ['cpu', 'memory'].filter(
        name => before[index]?.resources?.[part]?.[name] && !container.resources?.[part]?.[name],
      )
      out.push(...removed.map(name => forbidden(`${field}.${part}`, `${name} ${part} cannot be removed`)))
    }
    if (otherResources(container.resources) === otherResources(before[index]?.resources)) continue
    out.push(forbidden('spec', 'only cpu and memory resources are mutable'))
  }
  return out
}

function otherResources(resources: { requests?: object; limits?: object } | undefined): string {
  const others = (amounts: object | undefined): unknown =>
    Object.entries(amounts ?? {})
      .filter(([name]) => name !== 'cpu' && name !== 'memory')
      .sort()
  return JSON.stringify([others(resources?.requests), others(resources?.limits)])
}
