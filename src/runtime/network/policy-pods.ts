/** What network policies need to know of a pod (pure). */
import { familyOf } from '../../kube/ip-family.ts'
import type { ContainerPort, Pod } from '../../kube/types.ts'
import type { Family } from './family.ts'

export type PolicyPod = Pod

const ENDED: readonly string[] = ['Succeeded', 'Failed']

/** Its address of a family; null when it has none of its own, or has ended and may have given it away. */
export function addressOf({ spec, status }: PolicyPod, family: Family): string | null {
  if (spec?.hostNetwork === true || ENDED.includes(status?.phase ?? '')) return null
  const addresses = [...(status?.podIPs ?? []).map(({ ip }) => ip), status?.podIP]
  return addresses.find(address => address && familyOf(address) === family) ?? null
}

/** Of containers that run side by side. */
export function portsOf({ spec }: PolicyPod): ContainerPort[] {
  const sidecars = (spec?.initContainers ?? []).filter(({ restartPolicy }) => restartPolicy === 'Always')
  return [...(spec?.containers ?? []), ...sidecars].flatMap(({ ports }) => ports ?? [])
}

/** Keeps nothing else: policies look at the pods of the whole cluster. */
export function slimPod(pod: Pod): Pod {
  const { name, namespace, uid, labels, resourceVersion } = pod.metadata
  const ports = portsOf(pod)
  return {
    apiVersion: pod.apiVersion,
    kind: pod.kind,
    metadata: {
      ...{ name, namespace, uid, resourceVersion },
      ...(labels === undefined ? {} : { labels }),
    } as Pod['metadata'],
    spec: {
      ...(pod.spec?.nodeName === undefined ? {} : { nodeName: pod.spec.nodeName }),
      ...(pod.spec?.hostNetwork === undefined ? {} : { hostNetwork: pod.spec.hostNetwork }),
      containers: ports.length === 0 ? [] : [{ name: 'ports', ports }],
    },
    status: {
      ...(pod.status?.phase === undefined ? {} : { phase: pod.status.phase }),
      ...(pod.status?.podIP === undefined ? {} : { podIP: pod.status.podIP }),
      ...(pod.status?.podIPs === undefined ? {} : { podIPs: pod.status.podIPs }),
    },
  }
}
