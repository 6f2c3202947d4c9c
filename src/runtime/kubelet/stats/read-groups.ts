/** What the control groups of pods and of their containers tell, and the interfaces of pods. */
import { join } from 'node:path'
import { qosClassOf } from '../../../kube/qos.ts'
import type { Pod } from '../../../kube/types.ts'
import { readGroupUsage } from '../runtime/cgroup-usage.ts'
import type { PodGroups } from '../runtime/pod-groups.ts'
import type { ContainerStatus } from '../runtime/runtime.ts'
import { readGroupDetails } from './group-details.ts'
import { type InterfaceCounts, readPodNetwork } from './pod-network.ts'
import type { GroupLine, NetworkLine } from './render-cadvisor.ts'
import { runningOf } from './render-summary.ts'
import type { UsageSample } from './usage-sampler.ts'

export interface GroupsInput {
  readonly pods: readonly Pod[]
  readonly containers: readonly ContainerStatus[]
  readonly sample: UsageSample
  /** Absent where there are none: containers are told with what the runtime knows. */
  readonly groups: Pick<PodGroups, 'pathOf' | 'trees'> | undefined
  readonly nowMs: number
}

export interface GroupsRead {
  readonly groups: readonly GroupLine[]
  readonly networks: readonly NetworkLine[]
}

export async function readGroups(input: GroupsInput): Promise<GroupsRead> {
  const read = await Promise.all(input.pods.map(pod => readPod(pod, input)))
  return { groups: read.flatMap(({ groups }) => groups), networks: read.flatMap(({ networks }) => networks) }
}

async function readPod(pod: Pod, input: GroupsInput): Promise<GroupsRead> {
  const running = runningOf(pod, input.containers, input.sample)
  if (running.length === 0) return { groups: [], networks: [] }
  const { name = '', namespace = '', uid = '' } = pod.metadata
  const { groups, nowMs } = input
  const own = groups?.pathOf(uid, qosClassOf(pod))
  const trees = groups?.trees ?? []
  const lines = running.map(async ({ status, rated: { usage } }): Promise<GroupLine> => {
    const { id, image, startedAt } = status
    const path = own === undefined ? id : join(own, id)
    const labels = { container: status.name, id: path, image, name: id, namespace, pod: name }
    const details = own === undefined ? undefined : await readGroupDetails(path, trees)
    return { labels, usage, details, startedAtMs: startedAt }
  })
  const containers = await Promise.all(lines)
  const whole = own === undefined ? null : await readGroupUsage(own, trees)
  if (own === undefined || whole === null) return { groups: containers, networks: [] }
  const labels = { container: '', id: own, image: '', name: '', namespace, pod: name }
  const usage = { ...whole, timeMs: nowMs }
  const group = { labels, usage, details: await readGroupDetails(own, trees) }
  const interfaces = await interfacesOf(pod, input)
  const networks = interfaces.length === 0 ? [] : [{ labels, interfaces, timeMs: nowMs }]
  return { groups: [...containers, group], networks }
}

/** None of a pod on the host's network, whose interfaces are not its own. */
export async function interfacesOf(
  pod: Pod,
  { groups }: Pick<GroupsInput, 'groups'>,
): Promise<readonly InterfaceCounts[]> {
  if (groups === undefined || pod.spec?.hostNetwork === true) return []
  return readPodNetwork(groups.pathOf(pod.metadata.uid ?? '', qosClassOf(pod)), groups.trees)
}
