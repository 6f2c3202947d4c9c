/** The socket on which agents of a node ask which pod has which devices: upstream's pod-resources API, v1. */
import { mkdirSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Container, Pod } from '../../../kube/types.ts'
import type { GivenDevice } from '../resource-claims/plan-claims.ts'
import { serveRpc } from '../runtime/cri/rpc-server.ts'
import type { DeviceGrant, KnownDevices } from './plan-devices.ts'
import { POD_RESOURCES_PROTO } from './pod-resources-proto.ts'

export interface GivenDevices {
  /** Those that are not over. */
  readonly pods: readonly Pod[]
  readonly grants: readonly DeviceGrant[]
  readonly devices: KnownDevices
  readonly claimed: (pod: Pod, container: Container) => readonly GivenDevice[]
  /** Where a device is near to; empty while nobody says. */
  readonly numaNodes: (resource: string, id: string) => readonly number[]
}

/** The state is asked for at each call. */
export async function servePodResources(
  directory: string,
  given: () => GivenDevices,
): Promise<{ close(): void }> {
  mkdirSync(directory, { recursive: true, mode: 0o750 })
  const socket = join(directory, 'kubelet.sock')
  await rm(socket, { force: true })
  return serveRpc(socket, {
    proto: POD_RESOURCES_PROTO,
    service: 'v1.PodResourcesLister',
    methods: {
      List: async () => ({ podResources: given().pods.map(pod => renderPod(pod, given())) }),
      GetAllocatableResources: async () => ({ devices: renderAllocatable(given()) }),
      Get: async request => renderOne(request as PodRequest, given()),
    },
  })
}

interface PodRequest {
  readonly podName: string
  readonly podNamespace: string
}

function renderOne({ podName, podNamespace }: PodRequest, given: GivenDevices): object {
  const isIt = ({ metadata }: Pod) => metadata.name === podName && metadata.namespace === podNamespace
  const pod = given.pods.find(isIt)
  if (pod === undefined) throw new Error(`pod ${podName} in namespace ${podNamespace} not found`)
  return { podResources: renderPod(pod, given) }
}

/** Init containers that have ended have nothing any more, so only those that go on are told. */
function renderPod(pod: Pod, given: GivenDevices): object {
  const { metadata, spec } = pod
  const sidecars = (spec?.initContainers ?? []).filter(({ restartPolicy }) => restartPolicy === 'Always')
  const own = given.grants.filter(({ podUid }) => podUid === metadata.uid)
  return {
    name: metadata.name,
    namespace: metadata.namespace,
    containers: [...sidecars, ...(spec?.containers ?? [])].map(each => ({
      name: each.name,
      devices: own
        .filter(({ container }) => container === each.name)
        .flatMap(({ resource, ids }) => ids.map(id => renderDevice(resource, id, given))),
      dynamicResources: renderClaimed(pod, each, given),
    })),
  }
}

/** What is not prepared yet is not there yet. */
function renderClaimed(pod: Pod, container: Container, { claimed }: GivenDevices): object[] {
  const byClaim = Map.groupBy(claimed(pod, container), ({ record }) => record)
  return Array.from(byClaim, ([{ name, namespace }, devices]) => ({
    ...{ claimName: name, claimNamespace: namespace },
    claimResources: devices.map(({ driver, device }) => ({
      ...{ driverName: driver, poolName: device.poolName, deviceName: device.deviceName },
      cdiDevices: device.cdiDeviceIds.map(id => ({ name: id })),
    })),
  }))
}

const renderAllocatable = (given: GivenDevices): object[] =>
  [...given.devices].flatMap(([resource, devices]) =>
    [...devices].filter(([, isHealthy]) => isHealthy).map(([id]) => renderDevice(resource, id, given)),
  )

function renderDevice(resourceName: string, deviceId: string, { numaNodes }: GivenDevices): object {
  const nodes = numaNodes(resourceName, deviceId).map(id => ({ id }))
  return { resourceName, deviceIds: [deviceId], ...(nodes.length > 0 ? { topology: { nodes } } : {}) }
}
