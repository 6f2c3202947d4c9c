/** What a decision takes into account beside the pod and the nodes. */
import type { LabelRequirement, Labels } from '../../kube/labels.ts'
import type { Pod, PodDisruptionBudget } from '../../kube/types.ts'
import { type DeviceView, NO_DEVICES } from './devices/device-view.ts'
import { DEFAULT_PROFILE, type Profile } from './profile.ts'
import { NO_VOLUMES, type VolumeView } from './volume-view.ts'

export interface NamespaceView {
  labelsOf(namespace: string): Labels
  /** Another one as soon as any namespace's labels are others. */
  readonly version: number
}

export interface World {
  readonly volumes: VolumeView
  readonly devices: DeviceView
  /** They say whose leaving does harm. */
  readonly budgets: readonly PodDisruptionBudget[]
  readonly namespaces: NamespaceView
  /** What the services and the controller of a pod select it by; null when nothing does. */
  readonly selectorOf: (pod: Pod) => readonly LabelRequirement[] | null
  readonly profile: Profile
  /** Where among the nodes to begin, so that all get their turn. */
  readonly firstNode: number
}

export const NAMESPACES_BY_NAME: NamespaceView = {
  labelsOf: namespace => ({ 'kubernetes.io/metadata.name': namespace }),
  version: 0,
}

export const EMPTY_WORLD: World = {
  volumes: NO_VOLUMES,
  devices: NO_DEVICES,
  budgets: [],
  namespaces: NAMESPACES_BY_NAME,
  selectorOf: () => null,
  profile: DEFAULT_PROFILE,
  firstNode: 0,
}
