/** The names of the cluster, as tables against the specification of DNS-based service discovery 1.1. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { RecordType } from 'dns-packet'
import { ask, queryFor, rawAnswer, testResolver, textOf } from '../../../support/dns.ts'

type Row = readonly [name: string, type: RecordType, answer: string]

const tables: Readonly<Record<string, readonly Row[]>> = {
  'the version of the schema (2.2)': [
    ['dns-version.cluster.local', 'TXT', 'NOERROR TXT 1.1.0'],
    ['dns-version.cluster.local', 'A', 'NOERROR (SOA)'],
    ['x.dns-version.cluster.local', 'TXT', 'NXDOMAIN (SOA)'],
  ],
  'a service with a cluster IP (2.3)': [
    ['kubernetes.default.svc.cluster.local', 'A', 'NOERROR A 10.152.183.1'],
    ['KuberNetes.DEFAULT.svc.Cluster.Local', 'A', 'NOERROR A 10.152.183.1'],
    ['kubernetes.default.svc.cluster.local', 'AAAA', 'NOERROR (SOA)'],
    ['kubernetes.default.svc.cluster.local', 'MX', 'NOERROR (SOA)'],
    ['dual.shop.svc.cluster.local', 'A', 'NOERROR A 10.152.183.21'],
    ['dual.shop.svc.cluster.local', 'AAAA', 'NOERROR AAAA fd00::21'],
    ['nothing.default.svc.cluster.local', 'A', 'NXDOMAIN (SOA)'],
    ['kubernetes.elsewhere.svc.cluster.local', 'A', 'NXDOMAIN (SOA)'],
    ['_http._tcp.web.shop.svc.cluster.local', 'SRV', 'NOERROR SRV 0 100 80 web.shop.svc.cluster.local'],
    ['_dns._udp.web.shop.svc.cluster.local', 'SRV', 'NOERROR SRV 0 100 53 web.shop.svc.cluster.local'],
    ['_dns._tcp.web.shop.svc.cluster.local', 'SRV', 'NXDOMAIN (SOA)'],
    ['_http._tcp.web.shop.svc.cluster.local', 'A', 'NOERROR (SOA)'],
    ['_tcp.web.shop.svc.cluster.local', 'A', 'NOERROR (SOA)'],
    ['_sctp.web.shop.svc.cluster.local', 'A', 'NXDOMAIN (SOA)'],
    ['1.183.152.10.in-addr.arpa', 'PTR', 'NOERROR PTR kubernetes.default.svc.cluster.local'],
    ['1.183.152.10.in-addr.arpa', 'A', 'NOERROR (SOA)'],
    ['9.183.152.10.in-addr.arpa', 'PTR', 'NXDOMAIN (SOA)'],
    [
      '1.2.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.d.f.ip6.arpa',
      'PTR',
      'NOERROR PTR dual.shop.svc.cluster.local',
    ],
  ],
  'a headless service (2.4)': [
    ['db.shop.svc.cluster.local', 'A', 'NOERROR A 10.1.0.5, A 10.1.0.6'],
    ['db-0.db.shop.svc.cluster.local', 'A', 'NOERROR A 10.1.0.5'],
    ['10-1-0-6.db.shop.svc.cluster.local', 'A', 'NOERROR A 10.1.0.6'],
    ['10-1-0-5.db.shop.svc.cluster.local', 'A', 'NXDOMAIN (SOA)'],
    ['empty.shop.svc.cluster.local', 'A', 'NXDOMAIN (SOA)'],
    [
      '_sql._tcp.db.shop.svc.cluster.local',
      'SRV',
      'NOERROR SRV 0 50 5432 db-0.db.shop.svc.cluster.local, SRV 0 50 5432 10-1-0-6.db.shop.svc.cluster.local',
    ],
    ['5.0.1.10.in-addr.arpa', 'PTR', 'NOERROR PTR db-0.db.shop.svc.cluster.local'],
    ['7.0.1.10.in-addr.arpa', 'PTR', 'NOERROR PTR 10-1-0-7.web.shop.svc.cluster.local'],
    ['8.0.1.10.in-addr.arpa', 'PTR', 'NXDOMAIN (SOA)'],
  ],
  'a service with an external name (2.5)': [
    ['near.shop.svc.cluster.local', 'A', 'NOERROR CNAME web.shop.svc.cluster.local, A 10.152.183.20'],
    ['near.shop.svc.cluster.local', 'CNAME', 'NOERROR CNAME web.shop.svc.cluster.local'],
    ['far.shop.svc.cluster.local', 'CNAME', 'NOERROR CNAME www.example.com'],
    ['x.far.shop.svc.cluster.local', 'A', 'NXDOMAIN (SOA)'],
    ['one.shop.svc.cluster.local', 'A', 'SERVFAIL (SOA)'],
  ],
  'pods by their addresses (2.6)': [
    ['10-1-0-7.shop.pod.cluster.local', 'A', 'NOERROR A 10.1.0.7'],
    ['10-1-0-7.shop.pod.cluster.local', 'AAAA', 'NOERROR (SOA)'],
    ['fd00--7.shop.pod.cluster.local', 'AAAA', 'NOERROR AAAA fd00::7'],
    ['10-1-0.shop.pod.cluster.local', 'A', 'NXDOMAIN (SOA)'],
    ['web.shop.pod.cluster.local', 'A', 'NXDOMAIN (SOA)'],
  ],
  'what lies between': [
    ['cluster.local', 'SOA', 'NOERROR SOA ns.dns.cluster.local 5'],
    ['cluster.local', 'NS', 'NOERROR NS ns.dns.cluster.local'],
    ['ns.dns.cluster.local', 'A', 'NOERROR A 10.152.183.10'],
    ['cluster.local', 'A', 'NOERROR (SOA)'],
    ['svc.cluster.local', 'A', 'NOERROR (SOA)'],
    ['shop.svc.cluster.local', 'A', 'NOERROR (SOA)'],
    ['nobody.svc.cluster.local', 'A', 'NXDOMAIN (SOA)'],
    ['other.cluster.local', 'A', 'NXDOMAIN (SOA)'],
    ['notcluster.local', 'A', 'SERVFAIL'],
  ],
}

const wordsOf = (text: string) => text.split(/,? /).sort()

for (const [about, rows] of Object.entries(tables)) {
  test(`${about} has the records that the specification names`, async () => {
    const resolver = testResolver()
    for (const [name, type, expected] of rows) {
      assert.equal(textOf(await ask(resolver, name, type)), expected, `${name} ${type}`)
      // From the cache, where another address may come first.
      const again = textOf(await ask(resolver, name, type))
      assert.deepEqual(wordsOf(again), wordsOf(expected), `${name} ${type}, again`)
    }
  })
}

test('an SRV answer brings the addresses of its targets along', async () => {
  const { additionals } = await ask(testResolver(), '_sql._tcp.db.shop.svc.cluster.local', 'SRV')
  assert.deepEqual(
    additionals?.map(record => record.type === 'A' && `${record.name} ${record.data}`),
    ['db-0.db.shop.svc.cluster.local 10.1.0.5', '10-1-0-6.db.shop.svc.cluster.local 10.1.0.6'],
  )
})

test('the addresses of a service come first in turn, with the same times to live', async () => {
  const resolver = testResolver()
  const firsts = new Set<string>()
  for (let times = 0; times < 4; times++) {
    const { answers = [] } = await ask(resolver, 'db.shop.svc.cluster.local')
    assert.deepEqual(
      answers.map(each => 'ttl' in each && each.ttl),
      [5, 5],
    )
    assert.equal(new Set(answers.map(each => each.type === 'A' && each.data)).size, 2)
    firsts.add(textOf({ answers: answers.slice(0, 1), authorities: [] } as never))
  }
  assert.equal(firsts.size, 2)
})

test('a change of a service or an endpoint is seen at once, whatever was answered before', async () => {
  const resolver = testResolver()
  const text = async (name: string, type: RecordType = 'A') => textOf(await ask(resolver, name, type))
  await text('db.shop.svc.cluster.local')
  await text('5.0.1.10.in-addr.arpa', 'PTR')
  const slice = { service: 'shop/db', endpoints: [{ hostname: null, addresses: ['10.1.0.9'] }], ports: [] }
  resolver.change({ services: [], slices: [['shop/db-1', slice]] })
  assert.equal(await text('db.shop.svc.cluster.local'), 'NOERROR A 10.1.0.9')
  assert.equal(await text('5.0.1.10.in-addr.arpa', 'PTR'), 'NXDOMAIN (SOA)')
  assert.equal(await text('9.0.1.10.in-addr.arpa', 'PTR'), 'NOERROR PTR 10-1-0-9.db.shop.svc.cluster.local')
  resolver.change({ services: [['shop/db', null]], slices: [['shop/db-1', null]] })
  assert.equal(await text('db.shop.svc.cluster.local'), 'NXDOMAIN (SOA)')
  assert.equal(await text('9.0.1.10.in-addr.arpa', 'PTR'), 'NXDOMAIN (SOA)')
})

test('the question comes back as it was spelled, with the id and what was wished for', async () => {
  const query = queryFor('wEb.sHop.SVC.cluster.local')
  const resolver = testResolver()
  for (const answer of [await rawAnswer(resolver, query), await rawAnswer(resolver, query)]) {
    assert.deepEqual(answer.subarray(0, 2), query.subarray(0, 2))
    assert.deepEqual(answer.subarray(12, query.length), query.subarray(12))
    // An answer, with authority, recursion desired and available.
    assert.equal(answer.readUInt16BE(2), 0x8580)
  }
})
