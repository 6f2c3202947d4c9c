/** Which runtimes fit the networks of a cluster. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { networkProblem } from '../../../src/config/cluster-networks.ts'

test('where IPv6 is first, nodes need a runtime that gives pods addresses of it', () => {
  for (const runtime of ['oci', 'containerd'] as const) {
    assert.equal(networkProblem({ serviceCidr: 'fd00:2::/112' }, runtime), undefined)
  }
  for (const runtime of ['process', 'simulated'] as const) {
    assert.match(networkProblem({ serviceCidr: 'fd00:2::/112' }, runtime) ?? '', /IPv4 only/)
    assert.equal(networkProblem({ serviceCidr: '10.152.183.0/24' }, runtime), undefined)
  }
})
