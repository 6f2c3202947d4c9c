/** When a ServiceCIDR may go. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ServiceCIDR } from '../../../../src/kube/types.ts'
import { isInUse } from '../../../../src/runtime/controllers/service-addresses/service-cidrs.ts'

const cidr = (name: string, cidrs: string[], deletionTimestamp?: string): ServiceCIDR => ({
  ...{ apiVersion: 'networking.k8s.io/v1', kind: 'ServiceCIDR', spec: { cidrs } },
  metadata: { name, ...(deletionTimestamp !== undefined && { deletionTimestamp }) },
})

test('a ServiceCIDR is in use while it holds an address that no other one holds that stays', () => {
  const small = cidr('small', ['10.9.0.0/29', 'fd00::/120'], '2026-01-01T00:00:00Z')
  const held = ['10.152.183.1', '10.9.0.3']
  assert.equal(isInUse(small, [small], held), true)
  assert.equal(isInUse(small, [small], ['10.152.183.1', '10.9.0.9']), false)
  assert.equal(isInUse(small, [small], ['fd00::7']), true)
  assert.equal(isInUse(small, [small, cidr('large', ['10.9.0.0/16'])], held), false)
  const going = cidr('large', ['10.9.0.0/16'], '2026-01-01T00:00:00Z')
  assert.equal(isInUse(small, [small, going], held), true)
})
