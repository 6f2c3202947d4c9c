/** Builds what attaches a kubelet's pods to more networks, out of what the kubelet is made of. */
import { join } from 'node:path'
import type { EventRecorder } from '../../../client/event-recorder.ts'
import type { KubeClient } from '../../../client/kube-client.ts'
import { cniPath } from '../../../host/container-programs.ts'
import type { KubeletParts } from '../kubelet-parts.ts'
import { type PodContext, recordPodEvent } from '../pod-context.ts'
import { ExtraNetworks, type ExtraNetworksParts } from './extra-networks.ts'

/** Where Multus has its own. */
const MULTUS_CONFIGS = '/etc/cni/multus/net.d'

export function createExtraNetworks(
  { runtime, networks, directories, log }: KubeletParts,
  means: {
    readonly client: KubeClient
    readonly recorder: EventRecorder
    readonly reportedAs: PodContext['reportedAs']
    readonly devicesOf: ExtraNetworksParts['devicesOf']
  },
): ExtraNetworks {
  const { client, recorder, reportedAs, devicesOf } = means
  const { settings = async () => null, configs = '', enter = [] } = networks ?? {}
  return new ExtraNetworks({
    ...{ runtime, client, settings, reportedAs, devicesOf, log },
    cni: { configs, plugins: cniPath(), enter },
    moreConfigs: [MULTUS_CONFIGS],
    directory: join(directories.pods, '..', 'networks'),
    onAttached: (pod, message) =>
      recordPodEvent(recorder, pod, { type: 'Normal', reason: 'AddedInterface', message }),
  })
}
