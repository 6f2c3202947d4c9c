/** What comes over the wire, good or bad: sizes, EDNS, refusals, and any bytes. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { decode } from 'dns-packet'
import { systemClock } from '../../../../src/base/clock.ts'
import { seededRandom } from '../../../../src/base/random.ts'
import { Resolver } from '../../../../src/runtime/dns/resolver.ts'
import { storeAnswer } from '../../../../src/runtime/dns/stored-answer.ts'
import { ALONE, ask, queryFor, rawAnswer, testResolver, textOf, ZONE } from '../../../support/dns.ts'

const MANY = 120
const NAME = 'many.shop.svc.cluster.local'

function withMany() {
  const resolver = testResolver()
  const endpoints = Array.from({ length: MANY }, (_, index) => ({
    hostname: `pod-${index}`,
    addresses: [`10.1.7.${index + 1}`],
  }))
  const ports = [{ name: 'sql', protocol: 'tcp', port: 5432 }]
  resolver.change({
    services: [['shop/many', { kind: 'headless', addresses: [], ports, target: '' }]],
    slices: [['shop/many-1', { service: 'shop/many', endpoints, ports }]],
  })
  return resolver
}

test('an answer that is too large is cut behind a whole record and says so; TCP has all of it', async () => {
  const resolver = withMany()
  const sizes = [
    [undefined, 512],
    [100, 512],
    [900, 900],
    [4_096, 1_232],
  ] as const
  for (const name of [NAME, `_sql._tcp.${NAME}`]) {
    const type = name === NAME ? 'A' : 'SRV'
    for (const [payload, limit] of sizes) {
      const options = payload === undefined ? {} : { payload }
      for (let times = 0; times < 2; times++) {
        const raw = await rawAnswer(resolver, queryFor(name, type, options))
        const answer = decode(raw)
        assert.ok(raw.length <= limit && raw.length > limit - 100, `${raw.length} of ${limit}`)
        assert.equal(answer.flag_tc, true)
        assert.equal(answer.additionals?.length, payload === undefined ? 0 : 1)
      }
    }
    const whole = await ask(resolver, name, type, { isTcp: true })
    assert.equal(whole.flag_tc, false)
    assert.equal(whole.answers?.length, MANY)
  }
})

test('that additional records do not fit makes nobody ask again', async () => {
  const resolver = testResolver()
  const endpoints = Array.from({ length: 7 }, (_, index) => ({
    hostname: `pod-${index}`,
    addresses: [`10.1.7.${index + 1}`],
  }))
  const ports = [{ name: 'sql', protocol: 'tcp', port: 5432 }]
  resolver.change({
    services: [['shop/some', { kind: 'headless', addresses: [], ports, target: '' }]],
    slices: [['shop/some-1', { service: 'shop/some', endpoints, ports }]],
  })
  const answer = await ask(resolver, '_sql._tcp.some.shop.svc.cluster.local', 'SRV')
  assert.equal(answer.flag_tc, false)
  assert.equal(answer.answers?.length, 7)
  assert.ok((answer.additionals?.length ?? 0) < 7)
})

test('EDNS is answered with EDNS, and one of an unknown version is refused', async () => {
  const resolver = testResolver()
  const answer = await ask(resolver, 'web.shop.svc.cluster.local', 'A', { payload: 1_232 })
  assert.deepEqual(
    answer.additionals?.map(each => each.type === 'OPT' && each.udpPayloadSize),
    [1_232],
  )
  const query = queryFor('web.shop.svc.cluster.local', 'A', { payload: 1_232 })
  query[query.length - 5] = 1
  query[query.length - 6] = 0
  const [opt] = decode(await rawAnswer(resolver, query)).additionals ?? []
  assert.equal(opt?.type === 'OPT' && (opt as unknown as { extendedRcode: number }).extendedRcode, 1)
})

test('what is not for this server is refused in the way that the standards name', async () => {
  const resolver = testResolver()
  const name = 'web.shop.svc.cluster.local'
  const cases: readonly (readonly [string, (query: Buffer) => void])[] = [
    ['NOTIMP', query => query.writeUInt16BE(0x2800, 2)],
    ['FORMERR', query => query.writeUInt16BE(2, 4)],
    ['FORMERR', query => query.writeUInt16BE(0, 4)],
    // A name that points to itself.
    ['FORMERR', query => query.writeUInt16BE(0xc00c, 12)],
    ['REFUSED', query => query.writeUInt16BE(3, query.length - 2)],
    ['NOTIMP', query => query.writeUInt16BE(252, query.length - 4)],
  ]
  for (const [rcode, change] of cases) {
    const query = queryFor(name)
    change(query)
    const answer = await rawAnswer(resolver, query)
    assert.equal((decode(answer) as unknown as { rcode: string }).rcode, rcode)
    assert.deepEqual(answer.subarray(0, 2), query.subarray(0, 2))
  }
})

test('an answer is never answered, and neither is half a header', () => {
  const resolver = testResolver()
  const answer = queryFor('web.shop.svc.cluster.local')
  answer.writeUInt16BE(0x8180, 2)
  for (const bytes of [answer, answer.subarray(0, 11), Buffer.alloc(0)]) {
    resolver.handle(bytes, { isTcp: false }, () => assert.fail('answered'))
  }
  assert.equal(resolver.counters().dropped, 3)
})

test('before it was told everything, no name of the cluster is denied', async () => {
  const fresh = new Resolver({ zone: ZONE, forwarder: ALONE, clock: systemClock })
  assert.equal(textOf(await ask(fresh, 'web.shop.svc.cluster.local')), 'SERVFAIL')
  fresh.synced()
  assert.equal(textOf(await ask(fresh, 'web.shop.svc.cluster.local')), 'NXDOMAIN (SOA)')
})

const ROUNDS = 20_000

test('any bytes are taken, and every answer is a message that belongs to its query', async () => {
  const resolver = testResolver()
  const random = seededRandom(53)
  const seeds = [
    queryFor('web.shop.svc.cluster.local', 'A', { payload: 1_232 }),
    queryFor('_sql._tcp.db.shop.svc.cluster.local', 'SRV'),
    queryFor('5.0.1.10.in-addr.arpa', 'PTR', { payload: 512 }),
    queryFor('far.shop.svc.cluster.local', 'TXT'),
  ]
  const pending: Promise<void>[] = []
  const any = (limit: number) => Math.floor(random.float() * limit)
  for (let round = 0; round < ROUNDS; round++) {
    const seed = seeds[round % seeds.length] ?? Buffer.alloc(0)
    const bytes = round % 10 === 0 ? Buffer.from(random.bytes(any(80))) : Buffer.from(seed)
    for (let changes = any(6); changes > 0 && bytes.length > 0; changes--) bytes[any(bytes.length)] = any(256)
    const query = bytes.subarray(0, round % 7 === 0 ? any(bytes.length) : bytes.length)
    const { promise, resolve } = Promise.withResolvers<void>()
    let isAnswered = false
    resolver.handle(query, { isTcp: round % 3 === 0 }, answer => {
      isAnswered = true
      assert.deepEqual(answer.subarray(0, 2), query.subarray(0, 2))
      assert.equal(answer.readUInt16BE(2) & 0x8000, 0x8000)
      storeAnswerIfAsked(answer)
      resolve()
    })
    // What is dropped or waits for nobody resolves by itself.
    if (!isAnswered) resolve()
    pending.push(promise)
  }
  await Promise.all(pending)
})

function storeAnswerIfAsked(answer: Buffer): void {
  if (answer.readUInt16BE(4) === 1) storeAnswer(answer)
}

test('answers of other servers that are no messages are refused, whatever is wrong with them', () => {
  const random = seededRandom(35)
  const good = Buffer.from(
    '12348180000100020001000003777777076578616d706c6503636f6d0000010001c00c000500010000003c0004016ac010' +
      'c02d000100010000003c000401020304c010000600010000003c000ac010c010000000010000000200000003000000040000003c',
    'hex',
  )
  let refused = 0
  for (let round = 0; round < ROUNDS; round++) {
    const bytes = Buffer.from(good)
    for (let changes = 0; changes < 4; changes++) {
      bytes[Math.floor(random.float() * bytes.length)] = Math.floor(random.float() * 256)
    }
    try {
      storeAnswer(bytes)
    } catch {
      refused++
    }
  }
  assert.ok(refused > 0)
})
