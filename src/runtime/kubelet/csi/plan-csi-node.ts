/** This node as its CSI drivers describe it (pure): the CSINode object, and the labels of the drivers' topologies. */
import type { CSINode, Node } from '../../../kube/types.ts'
import type { DriverNodeInfo } from './csi-driver.ts'

export interface RegisteredDriver {
  readonly name: string
  readonly info: DriverNodeInfo
}

/** What other drivers are registered as stays. */
export function withDriver(current: CSINode | null, node: Node, driver: RegisteredDriver): CSINode {
  const { name, info } = driver
  const keys = Object.keys(info.topology).sort()
  const entry = {
    name,
    nodeID: info.nodeId,
    topologyKeys: keys,
    ...allocatable(info.volumesMax),
  }
  const base = current ?? newCsiNode(node)
  return { ...base, spec: { drivers: [...driversBut(base, name), entry] } }
}

const allocatable = (volumesMax: number) => (volumesMax > 0 ? { allocatable: { count: volumesMax } } : {})

/** With another number of volumes that the driver can attach. Null: nothing to change. */
export function withCount(current: CSINode | null, name: string, volumesMax: number): CSINode | null {
  const known = current?.spec.drivers.find(each => each.name === name)
  if (current === null || known === undefined) return null
  if ((known.allocatable?.count ?? 0) === Math.max(0, volumesMax)) return null
  const { allocatable: _before, ...rest } = known
  const next = { ...rest, ...allocatable(volumesMax) }
  return { ...current, spec: { drivers: current.spec.drivers.map(each => (each === known ? next : each)) } }
}

/** Null: nothing to change. */
export function withoutDriver(current: CSINode | null, name: string): CSINode | null {
  if (current === null || !current.spec.drivers.some(each => each.name === name)) return null
  return { ...current, spec: { drivers: driversBut(current, name) } }
}

const driversBut = ({ spec }: CSINode, name: string) => spec.drivers.filter(each => each.name !== name)

function newCsiNode({ metadata: { name = '', uid = '' } }: Node): CSINode {
  const ownerReferences = [{ apiVersion: 'v1', kind: 'Node', name, uid }]
  return {
    apiVersion: 'storage.k8s.io/v1',
    kind: 'CSINode',
    metadata: { name, ownerReferences },
    spec: { drivers: [] },
  }
}
