/** Which remembered connections are forgotten when a Service changes. */
import assert from 'node:assert/strict'
import test from 'node:test'
import type { PortPlan } from '../../../../src/runtime/network/port-plan.ts'
import { doubtfulPlaces, flowListings, staleFlows } from '../../../../src/runtime/network/stale-flows.ts'

const plan = (over: Partial<PortPlan> = {}): PortPlan => ({
  ...{ service: 'default/dns:u', serviceKey: 'default/dns', protocol: 'UDP', port: 53, nodePort: null },
  ...{ clusterIps: ['10.152.183.9'], externalIps: [], loadBalancerIps: [], sourceRanges: null },
  ...{ affinityMs: null, isInternalLocal: false, isExternalLocal: false, local: [] },
  everywhere: [{ address: '10.1.0.2', port: 5353 }],
  ...over,
})
const flow = (asked: string, port: number, answering: string, answeringPort: number, note = '') =>
  `udp      17 29 src=10.1.0.9 dst=${asked} sport=5000 dport=${port} ${note}` +
  `src=${answering} dst=10.1.0.9 sport=${answeringPort} dport=5000 mark=0 use=1\n`

test('what nobody answers at a place that is new is forgotten, and what an endpoint answers goes on', () => {
  const places = doubtfulPlaces([], [plan({ nodePort: 30_053 })], 'IPv4')
  assert.deepEqual(flowListings(places), [
    ['-L', '-p', 'udp', '--orig-dst', '10.152.183.9', '--orig-port-dst', '53'],
    ['-L', '-p', 'udp', '--orig-port-dst', '30053'],
  ])
  const listed =
    flow('10.152.183.9', 53, '10.1.0.2', 5353, '[ASSURED] ') +
    flow('10.152.183.9', 53, '10.152.183.9', 53, '[UNREPLIED] ') +
    flow('192.0.2.1', 30_053, '192.0.2.1', 30_053) +
    flow('10.152.183.8', 53, '10.152.183.8', 53)
  assert.deepEqual(staleFlows(listed, places), [
    [
      ...['-D', '-p', 'udp', '--orig-dst', '10.152.183.9', '--orig-port-dst', '53'],
      ...['--reply-src', '10.152.183.9', '--reply-port-src', '53'],
    ],
    [
      ...['-D', '-p', 'udp', '--orig-port-dst', '30053'],
      ...['--reply-src', '192.0.2.1', '--reply-port-src', '30053'],
    ],
  ])
})

test('places that are known are in doubt only when an endpoint went, or its port, or the first one came', () => {
  const counts = (before: PortPlan[], after: PortPlan[]) => doubtfulPlaces(before, after, 'IPv4').length
  const more = [...plan().everywhere, { address: '10.1.0.3', port: 5353 }]
  assert.equal(counts([plan()], [plan()]), 0)
  assert.equal(counts([plan()], [plan({ everywhere: more })]), 0)
  assert.equal(counts([plan({ everywhere: more })], [plan()]), 1)
  assert.equal(counts([plan()], [plan({ everywhere: [{ address: '10.1.0.2', port: 5354 }] })]), 1)
  assert.equal(counts([plan({ everywhere: [] })], [plan()]), 1)
  assert.equal(counts([plan()], []), 1)
  assert.equal(counts([plan()], [plan({ externalIps: ['203.0.113.7'] })]), 1)
  assert.equal(counts([], [plan({ protocol: 'TCP' })]), 0)
})

test('many places are looked at in one listing', () => {
  const externalIps = Array.from({ length: 20 }, (_, index) => `fd00::${index + 1}`)
  const places = doubtfulPlaces([], [plan({ clusterIps: [], externalIps })], 'IPv6')
  assert.deepEqual(flowListings(places), [['-L', '-f', 'ipv6', '-p', 'udp']])
})
