/** Whom a container runs as, what it may do and what it may use (pure). */
import { join } from 'node:path'
import type { Container, Pod } from '../../kube/types.ts'
import { ContainerConfigError } from './environment.ts'
import { podText } from './pod-context.ts'
import { quantityValue } from './pod-fields.ts'
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
    privileged: own?.privileged,
    readOnlyRootFilesystem: own?.readOnlyRootFilesystem,
    noNewPrivileges: own?.allowPrivilegeEscalation === false,
    addCapabilities: own?.capabilities?.add,
    dropCapabilities: own?.capabilities?.drop,
    seccomp: seccompOf(own?.seccompProfile ?? shared?.seccompProfile, input.seccompDirectory),
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

export function renderResources({ resources }: Pick<Container, 'resources'>): ContainerResources {
  const { requests, limits } = resources ?? {}
  const millis = (text: string | undefined) =>
    text === undefined ? undefined : Math.ceil(Number((quantityValue(text) * 1_000).toPrecision(12)))
  const bytes = (text: string | undefined) =>
    text === undefined ? undefined : Math.ceil(quantityValue(text))
  return {
    cpuRequestMillis: millis(requests?.['cpu']),
    cpuLimitMillis: millis(limits?.['cpu']),
    memoryRequestBytes: bytes(requests?.['memory']),
    memoryLimitBytes: bytes(limits?.['memory']),
  }
}
