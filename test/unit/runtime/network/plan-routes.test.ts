/** Which nodes a route leads to. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Node } from '../../../../src/kube/types.ts'
import { changesOf, planRoutes } from '../../../../src/runtime/network/plan-routes.ts'

const node = (name: string, address: string, podCIDR?: string): Node => ({
  apiVersion: 'v1',
  kind: 'Node',
  metadata: { name },
  spec: podCIDR === undefined ? {} : { podCIDR },
  status: { addresses: [{ type: 'InternalIP', address }] },
})

test('a route leads to every other machine that has pods', () => {
  const routes = planRoutes({
    nodeName: 'a',
    localAddresses: new Set(['10.0.0.1', '10.0.0.9']),
    nodes: [
      node('c', '10.0.0.3', '10.1.2.0/24'),
      node('a', '10.0.0.1', '10.1.0.0/24'),
      node('b', '10.0.0.2', '10.1.1.0/24'),
      node('no-range', '10.0.0.4'),
      node('same-machine', '10.0.0.9', '10.1.4.0/24'),
      node('loopback', '127.0.0.2', '10.1.5.0/24'),
      node('other-family', 'fd00::6', '10.1.6.0/24'),
    ],
  })
  assert.deepEqual(routes, [
    { range: '10.1.1.0/24', via: '10.0.0.2' },
    { range: '10.1.2.0/24', via: '10.0.0.3' },
  ])
})

test('a route that leads elsewhere now is replaced, and one that leads to nobody goes', () => {
  const present = [
    { range: '10.1.1.0/24', via: '10.0.0.2' },
    { range: '10.1.2.0/24', via: '10.0.0.3' },
    { range: '10.1.3.0/24', via: '10.0.0.4' },
  ]
  const wanted = [
    { range: '10.1.1.0/24', via: '10.0.0.2' },
    { range: '10.1.2.0/24', via: '10.0.0.5' },
  ]
  assert.deepEqual(changesOf(present, wanted), {
    add: [{ range: '10.1.2.0/24', via: '10.0.0.5' }],
    remove: [{ range: '10.1.3.0/24', via: '10.0.0.4' }],
  })
})
