/** Whom a container runs as, what it may do and what it may use (pure). */

import { join } from 'node:path'
import type { Container, Pod } from '../../kube/types.ts'
import { appArmorOf } from './app-armor.ts'
import { ContainerConfigError } from './environment.ts'
import { quantityValue } from './pod-fields.ts'
import { podText } from './pod-identity.ts'
import { pageSize, spareMemoryRequest, withPodLimits } from './resources/pod-resources.ts'
import type { ContainerResources, ContainerSecurity, ImageStatus, SeccompProfile } from './runtime/runtime.ts'

export interface SecurityInput {
  readonly pod: Pod
  readonly container: Container
  readonly image: ImageStatus
  /** Where local seccomp profiles lie. */
  readonly seccompDirectory: string
}

/** Throws ContainerConfigError when the container would run as root and must not. */
export function renderSecurity(input: SecurityInput): ContainerSecurity {
  const { pod, container } = input
  const shared = pod.spec?.securityContext
  const own = container.securityContext
  const runAsUser = own?.runAsUser ?? shared?.runAsUser
  if (own?.runAsNonRoot ?? shared?.runAsNonRoot) refuseRoot(input, runAsUser)
  const group = shared?.fsGroup === undefined ? [] : [shared.fsGroup]
  return {
    runAsUser,
    runAsGroup: own?.runAsGroup ?? shared?.runAsGroup,
    supplementalGroups: [...(shared?.supplementalGroups ?? []), ...group],
    strictGroups: shared?.supplementalGroupsPolicy === 'Strict',
    privileged: own?.privileged,
    readOnlyRootFilesystem: own?.readOnlyRootFilesystem,
    noNewPrivileges: own?.allowPrivilegeEscalation === false,
    addCapabilities: own?.capabilities?.add,
    dropCapabilities: own?.capabilities?.drop,
    seccomp: seccompOf(own?.seccompProfile ?? shared?.seccompProfile, input.seccompDirectory),
    appArmor: appArmorOf(pod, container),
    unmaskedProc: own?.procMount === 'Unmasked',
  }
}

function refuseRoot({ pod, container, image }: SecurityInput, runAsUser: number | undefined): void {
  const about = `(pod: "${podText(pod)}", container: ${container.name})`
  if (runAsUser === 0) throw new ContainerConfigError(`container's runAsUser breaks non-root policy ${about}`)
  if (runAsUser !== undefined) return
  const { uid = null, name = '' } = image.user ?? {}
  if (uid === null && name !== '') {
    const why = `image has non-numeric user (${name}), cannot verify user is non-root`
    throw new ContainerConfigError(`container has runAsNonRoot and ${why} ${about}`)
  }
  if ((uid ?? 0) === 0) {
    throw new ContainerConfigError(`container has runAsNonRoot and image will run as root ${about}`)
  }
}

type Profile = NonNullable<NonNullable<Container['securityContext']>['seccompProfile']>

function seccompOf(profile: Profile | undefined, directory: string): SeccompProfile | undefined {
  if (profile === undefined) return undefined
  const type = profile.type as SeccompProfile['type']
  return type === 'Localhost' ? { type, path: join(directory, profile.localhostProfile ?? '') } : { type }
}

/** With the pod, what the pod as a whole has counts for its containers too. */
export function renderResources(container: Pick<Container, 'resources'>, pod?: Pod): ContainerResources {
  const resources = pod === undefined ? container.resources : withPodLimits(container, pod)
  const { requests, limits } = resources ?? {}
  const millis = (text: string | undefined) =>
    text === undefined ? undefined : Math.ceil(Number((quantityValue(text) * 1_000).toPrecision(12)))
  const bytes = (text: string | undefined) =>
    text === undefined ? undefined : Math.ceil(quantityValue(text))
  const huge = Object.entries(limits ?? {}).filter(([name]) => name.startsWith('hugepages-'))
  const pages = huge.map(([name, text]) => [pageSize(name), bytes(text) ?? 0] as const)
  return {
    cpuRequestMillis: millis(requests?.['cpu']),
    cpuLimitMillis: millis(limits?.['cpu']),
    memoryRequestBytes:
      (bytes(requests?.['memory']) ?? 0) + (pod === undefined ? 0 : spareMemoryRequest(pod)),
    memoryLimitBytes: bytes(limits?.['memory']),
    ...(pages.length > 0 ? { hugepages: Object.fromEntries(pages) } : {}),
  }
}
