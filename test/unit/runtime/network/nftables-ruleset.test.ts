import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { runProgram } from '../../../../src/host/programs.ts'
import type { EndpointSlice, Service, ServiceSpec } from '../../../../src/kube/types.ts'
import { renderBase } from '../../../../src/runtime/network/base-part.ts'
import { planPorts } from '../../../../src/runtime/network/port-plan.ts'
import { renderService } from '../../../../src/runtime/network/service-part.ts'
import { changeTable, type PartChange, type TablePart } from '../../../../src/runtime/network/table-part.ts'
import { whyNoContainers } from '../../../support/containerd.ts'

const GOLDEN = join(import.meta.dirname, '../../../golden/nftables/services.nft')

const service = (name: string, clusterIP: string, spec: Partial<ServiceSpec>): Service => ({
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { name, namespace: 'default' },
  spec: { type: 'ClusterIP', clusterIP, ports: [{ port: 80 }], ...spec },
})

const slice = (name: string, addresses: string[], protocol = 'TCP', nodeName = 'a'): EndpointSlice => ({
  apiVersion: 'discovery.k8s.io/v1',
  kind: 'EndpointSlice',
  metadata: { name: `${name}-1`, namespace: 'default', labels: { 'kubernetes.io/service-name': name } },
  addressType: 'IPv4',
  endpoints: addresses.map(address => ({ addresses: [address], nodeName })),
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
  {
    ...service('outside', '10.152.183.15', {
      type: 'LoadBalancer',
      externalIPs: ['192.0.2.7'],
      externalTrafficPolicy: 'Local',
      internalTrafficPolicy: 'Local',
      loadBalancerSourceRanges: ['198.51.100.0/24', '2001:db8::/32'],
      ports: [{ port: 99, protocol: 'SCTP', nodePort: 30083 }],
    }),
    status: { loadBalancer: { ingress: [{ ip: '192.0.2.8' }, { ip: '192.0.2.9', ipMode: 'Proxy' }] } },
  },
]
const slices = [
  slice('web', ['10.1.0.2', '10.1.0.3']),
  slice('dns', ['10.1.0.4', '10.1.0.5'], 'UDP'),
  slice('local', ['10.1.0.6']),
  slice('outside', ['10.1.3.7'], 'SCTP', 'b'),
]

const PODS = '10.1.0.0/16'
const node = { name: 'a', zone: null }

const partOf = (shown: Service, own = slices): TablePart => {
  const named = ({ metadata }: EndpointSlice) => metadata.labels?.['kubernetes.io/service-name']
  const of = own.filter(each => named(each) === shown.metadata.name)
  return renderService(planPorts({ service: shown, slices: of, node }), PODS)
}
const fresh = (parts: readonly TablePart[]) => parts.map(after => ({ before: null, after }))
const tell = (changes: readonly PartChange[]) => changeTable('ip mk8s', changes)
const everything = () =>
  `add table ip mk8s\n${tell(fresh([renderBase(PODS), ...services.map(each => partOf(each))])).text}`
const [web, dns] = services as [Service, Service]

test('services become this ruleset', () => {
  const text = everything()
  if (process.env['MK8S_REWRITE'] === '1') writeFileSync(GOLDEN, text)
  assert.equal(text, readFileSync(GOLDEN, 'utf8'))
})

test('what is the same is not said again', () => {
  assert.deepEqual(tell([{ before: partOf(web), after: partOf(web) }]), { text: '', cleaning: [] })
})

test('another endpoint changes the choice of its own service and nothing else', () => {
  const grown = slices.map(each =>
    each.metadata.name === 'dns-1' ? slice('dns', ['10.1.0.4', '10.1.0.5', '10.1.0.9'], 'UDP') : each,
  )
  const { text, cleaning } = tell([{ before: partOf(dns), after: partOf(dns, grown) }])
  assert.deepEqual(cleaning, [])
  const flushed = text.split('\n').filter(line => line.startsWith('flush'))
  assert.equal(flushed.length, 1)
  assert.match(flushed[0] ?? '', /flush chain ip mk8s svc-\w+-default-dns/)
  assert.doesNotMatch(text, /default-web|element/)
})

test('nft takes it, and each change after it, and lets old chains be deleted', {
  skip: whyNoContainers() ?? false,
}, async () => {
  const gone = tell([{ before: partOf(web), after: null }])
  const without = slices.filter(({ metadata }) => metadata.name !== 'dns-1')
  const idle = tell([{ before: partOf(dns), after: partOf(dns, without) }])
  const back = tell([{ before: partOf(dns, without), after: partOf(dns) }])
  const cleaning = (lines: readonly string[]) => `${lines.join('\n')}\n`
  assert.ok(gone.cleaning.length > 0)
  const steps = [everything(), gone.text, cleaning(gone.cleaning), idle.text]
  steps.push(cleaning(idle.cleaning), back.text)
  const script = steps.map((text, index) => `nft -f - <<'S${index}' || exit 1\n${text}S${index}\n`).join('')
  const { stdout } = await runProgram('unshare', ['--net', 'sh'], {
    input: `${script}nft list table ip mk8s\n`,
  })
  assert.doesNotMatch(stdout, /default-web/)
  assert.match(stdout, /10\.152\.183\.10 \. udp \. 53 : goto svc-\w+-default-dns/)
  assert.match(stdout, /192\.0\.2\.8 \. sctp \. 99 : goto fw-\w+-default-outside/)
  assert.match(stdout, /192\.0\.2\.7 \. sctp \. 99 : drop/)
  assert.doesNotMatch(stdout, /192\.0\.2\.9/)
})
