/** AppArmor (pure): which profile a container wants, and which pods a node without AppArmor refuses. */
import type { Container, Pod } from '../../kube/types.ts'
import { containersOf } from './pod-containers.ts'
import type { PodFailure } from './pod-failure.ts'

export interface AppArmorProfile {
  readonly type: 'RuntimeDefault' | 'Unconfined' | 'Localhost'
  /** For `Localhost`: as it is loaded on the machine. */
  readonly name?: string | undefined
}

/** Undefined: what the runtime does when nobody says. */
export function appArmorOf(pod: Pod, { securityContext }: Container): AppArmorProfile | undefined {
  const profile = securityContext?.appArmorProfile ?? pod.spec?.securityContext?.appArmorProfile
  if (profile === undefined) return undefined
  return { type: profile.type as AppArmorProfile['type'], name: profile.localhostProfile }
}

export function appArmorRefusal(pod: Pod, hasAppArmor: boolean): PodFailure | null {
  if (hasAppArmor) return null
  const wants = containersOf(pod).some(container => {
    const type = appArmorOf(pod, container)?.type
    return type !== undefined && type !== 'Unconfined'
  })
  if (!wants) return null
  const why = 'Cannot enforce AppArmor: AppArmor is not enabled on the host'
  return { reason: 'AppArmor', message: `Pod was rejected: ${why}` }
}
