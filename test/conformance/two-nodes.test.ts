/** What Kubernetes' conformance expects of the cluster that it runs on. */
import assert from 'node:assert/strict'
import test, { after, before, describe } from 'node:test'
import { must } from '../../src/base/assert.ts'
import { startServers, type TestServers } from '../support/servers.ts'

interface NodeList {
  readonly items: readonly {
    readonly metadata: { readonly name: string }
    readonly spec: {
      readonly taints?: readonly { readonly effect: string }[]
      readonly unschedulable?: boolean
    }
    readonly status: { readonly conditions: readonly { readonly type: string; readonly status: string }[] }
  }[]
}

describe('Conformance Tests', () => {
  let servers: TestServers
  before(async () => {
    servers = await startServers({ count: 2, runtime: 'process' })
  })
  after(() => servers?.remove())

  test('should have at least two untainted nodes', async () => {
    const { kubectl } = must(servers.nodes[0], 'the first node')
    await kubectl.ok(['wait', '--for=condition=Ready', 'nodes', '--all', '--timeout=60s'])
    const { items } = (await kubectl.json(['get', 'nodes'])) as NodeList
    const fit = items.filter(
      ({ spec }) =>
        spec.unschedulable !== true && !(spec.taints ?? []).some(({ effect }) => effect.startsWith('No')),
    )
    assert.ok(fit.length >= 2, `${fit.length} nodes take pods`)
  })
})
