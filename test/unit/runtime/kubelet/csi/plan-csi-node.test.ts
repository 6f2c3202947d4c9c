import assert from 'node:assert/strict'
import { test } from 'node:test'
import { withCount, withDriver } from '../../../../../src/runtime/kubelet/csi/plan-csi-node.ts'

const node = { apiVersion: 'v1', kind: 'Node', metadata: { name: 'n', uid: 'u' } }
const info = { nodeId: 'id', volumesMax: 3, topology: {} }

test('how many volumes a driver can attach changes alone, and only when it does', () => {
  const one = withDriver(null, node, { name: 'a', info })
  const both = withDriver(one, node, { name: 'b', info })
  assert.equal(withCount(both, 'a', 3), null)
  assert.equal(withCount(both, 'c', 4), null)
  assert.equal(withCount(null, 'a', 4), null)
  const [a, b] = both.spec.drivers
  assert.deepEqual(withCount(both, 'a', 5)?.spec.drivers, [{ ...a, allocatable: { count: 5 } }, b])
  const unlimited = withCount(both, 'a', 0)
  assert.deepEqual(unlimited?.spec.drivers[0], { name: 'a', nodeID: 'id', topologyKeys: [] })
  assert.equal(withCount(unlimited ?? null, 'a', 0), null)
})
