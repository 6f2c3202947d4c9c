import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { runProgram } from '../../../../src/host/programs.ts'
import type { EndpointSlice, Service, ServiceSpec } from '../../../../src/kube/types.ts'
import { ANY_NODE_ADDRESS, renderRuleset } from '../../../../src/runtime/network/nftables-ruleset.ts'
import { planProxyRules } from '../../../../src/runtime/network/proxy-rules.ts'
import { whyNoContainers } from '../../../support/containerd.ts'

const GOLDEN = join(import.meta.dirname, '../../../golden/nftables/services.nft')

const service = (name: string, clusterIP: string, spec: Partial<ServiceSpec>): Service => ({
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { name, namespace: 'default' },
  spec: { type: 'ClusterIP', clusterIP, ports: [{ port: 80 }], ...spec },
})

const slice = (name: string, addresses: string[], protocol = 'TCP'): EndpointSlice => ({
  apiVersion: 'discovery.k8s.io/v1',
  kind: 'EndpointSlice',
  metadata: { name: `${name}-1`, namespace: 'default', labels: { 'kubernetes.io/service-name': name } },
  addressType: 'IPv4',
  endpoints: addresses.map(address => ({ addresses: [address], nodeName: 'a' })),
  ports: [{ port: 8080, protocol }],
})

const services = [
  service('web', '10.152.183.12', { type: 'NodePort', ports: [{ port: 80, nodePort: 30080 }] }),
  service('dns', '10.152.183.10', { ports: [{ port: 53, protocol: 'UDP' }], sessionAffinity: 'ClientIP' }),
  service('nobody', '10.152.183.13', { type: 'NodePort', ports: [{ port: 80, nodePort: 30081 }] }),
  service('local', '10.152.183.14', {
    type: 'NodePort',
    externalTrafficPolicy: 'Local',
    ports: [{ port: 80, nodePort: 30082 }],
  }),
]
const slices = [
  slice('web', ['10.1.0.2', '10.1.0.3']),
  slice('dns', ['10.1.0.4', '10.1.0.5'], 'UDP'),
  slice('local', ['10.1.0.6']),
]

const render = (shown = services) => {
  const rules = planProxyRules({
    services: shown,
    slices,
    nodeName: 'a',
    nodeAddresses: [ANY_NODE_ADDRESS],
    serviceAddress: address => address,
    keepsEmpty: true,
  })
  return renderRuleset({ table: 'mk8s', podCidr: '10.1.0.0/24', rules: [...rules.values()] })
}

test('services become this ruleset', () => {
  const { text } = render()
  if (process.env['MK8S_REWRITE'] === '1') writeFileSync(GOLDEN, text)
  assert.equal(text, readFileSync(GOLDEN, 'utf8'))
})

test('a service that did not change keeps its chains and its remembered clients', () => {
  const before = render()
  const after = render(services.filter(({ metadata }) => metadata.name !== 'web'))
  assert.ok(after.chains.size < before.chains.size)
  assert.deepEqual(
    [...after.chains].filter(name => !before.chains.has(name)),
    [],
  )
  assert.equal(after.sets.size, 2)
  assert.deepEqual(after.sets, before.sets)
})

test('nft takes it, once and again, and lets old chains be deleted', {
  skip: whyNoContainers() ?? false,
}, async () => {
  const before = render()
  const after = render(services.slice(1))
  const stale = [...before.chains].filter(name => !after.chains.has(name))
  assert.ok(stale.length > 0)
  const cleaning = stale.map(name => `delete chain ip mk8s ${name}\n`).join('')
  const script = 'nft -f - <<A && nft -f - <<B && nft -f - <<C && nft list table ip mk8s\n'
  const input = `${script}${before.text}A\n${after.text}B\n${cleaning}C\n`
  const { stdout } = await runProgram('unshare', ['--net', 'sh'], { input })
  assert.doesNotMatch(stdout, /default-web/)
  assert.match(stdout, /10\.152\.183\.10 \. udp \. 53 : goto svc-\w+-default-dns/)
})
