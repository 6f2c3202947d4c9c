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

const RESIZABLE = ['cpu', 'memory']
const LISTS = ['initContainers', 'containers'] as const

/** Amounts of CPU and memory change while a pod runs; its class of service does not. */
export function resizeProblems(
  next: Pod,
  previous: Pod,
  qosClass: (pod: Pod) => string,
): readonly FieldError[] {
  const refusal = unresizable(previous)
  if (refusal !== undefined) return [forbidden('', refusal)]
  const out: FieldError[] = []
  const wanted = qosClass(next)
  if (wanted !== (previous.status?.qosClass ?? qosClass(previous))) {
    out.push(invalid('spec', wanted, 'Pod QOS Class may not change as a result of resizing'))
  }
  checkWholePod(out, next, previous)
  for (const list of LISTS) {
    for (const [index, container] of (next.spec?.[list] ?? []).entries()) {
      const before = previous.spec?.[list]?.[index]
      if (before === undefined || semanticallyEqual(container.resources, before.resources)) continue
      if (list === 'initContainers' && before.restartPolicy !== 'Always') {
        out.push(forbidden('spec', 'resources for non-sidecar init containers are immutable'))
        continue
      }
      checkKept(out, `${at(`spec.${list}`, index)}.resources`, container.resources, before.resources)
      if (sameOthers(container.resources, before.resources)) continue
      const whose =
        list === 'initContainers'
          ? 'cpu and memory resources for sidecar containers'
          : 'cpu and memory resources'
      out.push(forbidden('spec', `only ${whose} are mutable`))
    }
  }
  return out
}

/** A kubelet says what its containers have, if it can change it. */
function unresizable(pod: Pod): string | undefined {
  if (isStatic(pod)) return 'static pods cannot be resized'
  if (pod.spec?.os?.name === 'windows') return 'windows pods cannot be resized'
  const running = (pod.status?.containerStatuses ?? []).find(({ state }) => state?.running !== undefined)
  if (running === undefined || running.resources !== undefined) return undefined
  return 'Pod running on node without support for resize'
}

function checkWholePod(out: FieldError[], next: Pod, previous: Pod): void {
  const [after, before] = [next.spec?.resources, previous.spec?.resources]
  if (semanticallyEqual(after, before)) return
  checkKept(out, 'spec.resources', after, before)
  if (!sameOthers(after, before)) out.push(forbidden('spec', 'only cpu and memory resources are mutable'))
}

type Amounts = { readonly requests?: Record<string, string>; readonly limits?: Record<string, string> }

/** What has been asked for or limited stays so. */
function checkKept(
  out: FieldError[],
  field: string,
  next: Amounts | undefined,
  previous: Amounts | undefined,
): void {
  for (const part of ['requests', 'limits'] as const) {
    const names = Object.keys(previous?.[part] ?? {})
    if (names.every(name => next?.[part]?.[name] !== undefined)) continue
    out.push(forbidden(`${field}.${part}`, `resource ${part} cannot be removed`))
  }
}

function sameOthers(next: Amounts | undefined, previous: Amounts | undefined): boolean {
  const others = (amounts: Record<string, string> | undefined) =>
    Object.fromEntries(Object.entries(amounts ?? {}).filter(([name]) => !RESIZABLE.includes(name)))
  const parts = ['requests', 'limits'] as const
  return parts.every(part => semanticallyEqual(others(next?.[part]), others(previous?.[part])))
}
