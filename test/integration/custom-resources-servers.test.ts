/** Custom resources over several servers: what one of them has established, any other serves. */
import assert from 'node:assert/strict'
import test, { after, before, describe } from 'node:test'
import { startServers, type TestServers } from '../support/servers.ts'

const DEFINITIONS = 3

const definition = (plural: string) => ({
  apiVersion: 'apiextensions.k8s.io/v1',
  kind: 'CustomResourceDefinition',
  metadata: { name: `${plural}.servers.example.com` },
  spec: {
    group: 'servers.example.com',
    scope: 'Namespaced',
    names: { plural, kind: plural.replace(/^./, first => first.toUpperCase()) },
    versions: [
      {
        name: 'v1',
        served: true,
        storage: true,
        schema: { openAPIV3Schema: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true } },
      },
    ],
  },
})

describe('a kind that one server has just established', () => {
  let servers: TestServers
  before(async () => {
    servers = await startServers({ count: 3, runtime: 'simulated' })
  })
  after(() => servers.remove())

  test('is served by every other at once', async () => {
    for (let index = 0; index < DEFINITIONS; index++) {
      const plural = `kind${index}s`
      const [first, ...others] = servers.nodes
      assert.ok(first)
      const made = definition(plural)
      await first.kubectl.ok(['create', '-f', '-'], { input: JSON.stringify(made) })
      await first.kubectl.ok(['wait', '--for=condition=Established', `crd/${made.metadata.name}`])
      for (const [number, node] of others.entries()) {
        const { group, names } = made.spec
        const instance = {
          apiVersion: `${group}/v1`,
          kind: names.kind,
          metadata: { name: `from-${number}`, namespace: 'default' },
        }
        await node.kubectl.ok(['create', '-f', '-'], { input: JSON.stringify(instance) })
      }
      const listed = await first.kubectl.ok(['get', plural, '-o', 'name'])
      assert.equal(listed.trim().split('\n').length, others.length)
    }
  })
})
