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
    ...(info.volumesMax > 0 ? { allocatable: { count: info.volumesMax } } : {}),
  }
  const base = current ?? newCsiNode(node)
  return { ...base, spec: { drivers: [...driversBut(base, name), entry] } }
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
