/** Names of others: real servers on loopback that answer, lie, cut off, keep silent or ask back. */
import assert from 'node:assert/strict'
import { createSocket, type RemoteInfo, type Socket } from 'node:dgram'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { afterEach, test } from 'node:test'
import { type Answer, decode, encode } from 'dns-packet'
import { must } from '../../../../src/base/assert.ts'
import { systemClock } from '../../../../src/base/clock.ts'
import { systemRandom } from '../../../../src/base/random.ts'
import { Forwarder } from '../../../../src/runtime/dns/forwarder.ts'
import { planForwarding } from '../../../../src/runtime/dns/forwarding-config.ts'
import type { DnsServer } from '../../../../src/runtime/dns/messages.ts'
import { ask, testResolver, textOf } from '../../../support/dns.ts'
import { until } from '../../../support/until.ts'

const HOST = '127.0.0.1'
const cleanups: (() => void)[] = []
afterEach(() => {
  for (const cleanup of cleanups.splice(0)) cleanup()
})

type React = (query: Buffer, from: RemoteInfo, socket: Socket) => void

interface Upstream extends DnsServer {
  readonly asked: string[]
}

async function upstream(react: React): Promise<Upstream> {
  const socket = createSocket('udp4')
  const asked: string[] = []
  socket.on('message', (query, from) => {
    const [question] = decode(query).questions ?? []
    // Its first question finds out whether it asks back.
    if (question?.type === 'HINFO') return
    asked.push(`${question?.name} ${question?.type}`)
    react(query, from, socket)
  })
  socket.bind(0, HOST)
  await once(socket, 'listening')
  cleanups.push(() => socket.close())
  return { address: HOST, port: socket.address().port, asked }
}

const address = (name: string, data: string, ttl = 60): Answer => ({ type: 'A', name, ttl, data })

function answerTo(query: Buffer, answers: Answer[], flags = 0x180, authorities: Answer[] = []): Buffer {
  const { id, questions = [] } = decode(query)
  return encode({ type: 'response', id, flags, questions, answers, authorities })
}

const answering =
  (data: string, ttl = 60): React =>
  (query, from, socket) => {
    const [question] = decode(query).questions ?? []
    socket.send(
      answerTo(query, [address(must(question, 'a question').name, data, ttl)]),
      from.port,
      from.address,
    )
  }

function resolverWith(
  upstreams: readonly DnsServer[],
  stubDomains: Record<string, readonly DnsServer[]> = {},
) {
  const problems: Record<string, string> = {}
  const clock = { ...systemClock, skippedMs: 0, monotonic: () => performance.now() + clock.skippedMs }
  const forwarder = new Forwarder({
    clock,
    random: systemRandom,
    onProblem: (about, text) => {
      problems[about] = text
    },
  })
  const resolver = testResolver(forwarder, clock)
  resolver.configure({ upstreams, stubDomains })
  return { resolver, problems, clock }
}

test('a name of others is asked for once, and kept for its time to live, which runs down', async () => {
  const server = await upstream(answering('192.0.2.1', 30))
  const { resolver, clock } = resolverWith([server])
  const all = await Promise.all(Array.from({ length: 20 }, () => ask(resolver, 'example.com')))
  for (const answer of all) assert.equal(textOf(answer), 'NOERROR A 192.0.2.1')
  assert.deepEqual(server.asked, ['example.com A'])
  clock.skippedMs = 20_000
  const { answers = [] } = await ask(resolver, 'EXAMPLE.com')
  assert.equal(answers[0] && 'ttl' in answers[0] && answers[0].ttl, 10)
  assert.equal(server.asked.length, 1)
  clock.skippedMs = 31_000
  await ask(resolver, 'example.com')
  assert.equal(server.asked.length, 2)
})

test('what is not there is remembered for as long as the zone says', async () => {
  const data = { mname: 'ns', rname: 'me', serial: 1, refresh: 1, retry: 1, expire: 1, minimum: 20 }
  const soa: Answer = { type: 'SOA', name: 'com', ttl: 900, data }
  const server = await upstream((query, from, socket) =>
    socket.send(answerTo(query, [], 0x183, [soa]), from.port, from.address),
  )
  const { resolver, clock } = resolverWith([server])
  for (const skipped of [0, 19_000, 21_000]) {
    clock.skippedMs = skipped
    assert.equal(textOf(await ask(resolver, 'none.com')), 'NXDOMAIN (SOA)')
  }
  assert.equal(server.asked.length, 2)
})

test('forged answers are passed over, from whomever they are', async () => {
  const liar = createSocket('udp4')
  cleanups.push(() => liar.close())
  const server = await upstream((query, from, socket) => {
    const send = (answer: Buffer, by = socket) => by.send(answer, from.port, from.address)
    const lie = answerTo(query, [address('example.com', '203.0.113.66')])
    const otherId = Buffer.from(lie)
    otherId.writeUInt16BE((lie.readUInt16BE(0) + 1) & 0xffff, 0)
    const otherName = Buffer.from(lie)
    otherName[13] = 120
    const noAnswer = Buffer.from(lie)
    noAnswer.writeUInt16BE(0x0100, 2)
    for (const forged of [otherId, otherName, noAnswer, lie.subarray(0, 20), Buffer.alloc(3)]) send(forged)
    liar.send(lie, from.port, from.address, () => answering('192.0.2.2')(query, from, socket))
  })
  const { resolver } = resolverWith([server])
  assert.equal(textOf(await ask(resolver, 'example.com')), 'NOERROR A 192.0.2.2')
})

test('ids and ports cannot be guessed', async () => {
  const seen: string[] = []
  const server = await upstream((query, from, socket) => {
    seen.push(`${query.readUInt16BE(0)}`, `port ${from.port}`)
    answering('192.0.2.1')(query, from, socket)
  })
  const { resolver } = resolverWith([server])
  for (let index = 0; index < 8; index++) await ask(resolver, `n${index}.example.com`)
  assert.ok(new Set(seen).size >= 12, seen.join())
})

test('where one server is silent or refuses, the next one is asked; silent ones last from then on', async () => {
  const silent = await upstream(() => {})
  const failing = await upstream((query, from, socket) =>
    socket.send(answerTo(query, [], 0x182), from.port, from.address),
  )
  const good = await upstream(answering('192.0.2.3'))
  const nobody = { address: HOST, port: 1 }
  const { resolver, problems } = resolverWith([silent, nobody, failing, good])
  for (let index = 0; index < 8; index++) {
    assert.equal(textOf(await ask(resolver, `n${index}.example.com`)), 'NOERROR A 192.0.2.3')
  }
  assert.ok(silent.asked.length <= 2)
  assert.equal(problems['upstream'] ?? '', '')
})

test('that no server answers is said, and over when one does', async () => {
  let isBack = false
  const server = await upstream(
    (query, from, socket) => isBack && answering('192.0.2.4')(query, from, socket),
  )
  const { resolver, problems } = resolverWith([server])
  assert.equal(textOf(await ask(resolver, 'example.com')), 'SERVFAIL')
  assert.equal(problems['upstream'], `none of the upstream servers answers: ${HOST}#${server.port}`)
  isBack = true
  assert.equal(textOf(await ask(resolver, 'example.com')), 'NOERROR A 192.0.2.4')
  assert.equal(problems['upstream'], '')
})

test('an answer that was cut off is asked for again over TCP, and is cut for those who asked over UDP', async () => {
  const many = Array.from({ length: 60 }, (_, index) => address('example.com', `192.0.2.${index}`))
  const server = await upstream((query, from, socket) =>
    socket.send(answerTo(query, [], 0x380), from.port, from.address),
  )
  const tcp = createServer(socket =>
    socket.once('data', (data: Buffer) => {
      const answer = answerTo(data.subarray(2), many)
      socket.write(Buffer.from([answer.length >> 8, answer.length & 255]))
      socket.end(answer)
    }),
  )
  tcp.listen(server.port, HOST)
  await once(tcp, 'listening')
  cleanups.push(() => tcp.close())
  const { resolver } = resolverWith([server])
  assert.equal((await ask(resolver, 'example.com', 'A', { isTcp: true })).answers?.length, 60)
  const cut = await ask(resolver, 'example.com')
  assert.equal(cut.flag_tc, true)
})

test('the servers of the longest stub domain are asked for what lies in it', async () => {
  const usual = await upstream(answering('192.0.2.1'))
  const corp = await upstream(answering('192.0.2.10'))
  const lab = await upstream(answering('192.0.2.20'))
  const { resolver } = resolverWith([usual], { 'corp.test': [corp], 'lab.corp.test': [lab] })
  const found = async (name: string) => textOf(await ask(resolver, name))
  assert.equal(await found('a.corp.test'), 'NOERROR A 192.0.2.10')
  assert.equal(await found('a.lab.corp.test'), 'NOERROR A 192.0.2.20')
  assert.equal(await found('corp.test'), 'NOERROR A 192.0.2.10')
  assert.equal(await found('notcorp.test'), 'NOERROR A 192.0.2.1')
})

test('an external name brings along what is known of it elsewhere', async () => {
  const server = await upstream((query, from, socket) => {
    const alias: Answer = { type: 'CNAME', name: 'www.example.com', ttl: 60, data: 'web.example.com' }
    const answers = [alias, address('web.example.com', '192.0.2.7')]
    socket.send(answerTo(query, answers), from.port, from.address)
  })
  const { resolver } = resolverWith([server])
  for (let times = 0; times < 2; times++) {
    assert.equal(
      textOf(await ask(resolver, 'far.shop.svc.cluster.local')),
      'NOERROR CNAME www.example.com, CNAME web.example.com, A 192.0.2.7',
    )
  }
  assert.deepEqual(server.asked, ['www.example.com A'])
})

test('no name and no address of the cluster is asked for elsewhere', async () => {
  const server = await upstream(answering('192.0.2.1'))
  const { resolver } = resolverWith([server])
  await ask(resolver, 'nothing.default.svc.cluster.local')
  await ask(resolver, 'cluster.local', 'TXT')
  await ask(resolver, '200.183.152.10.in-addr.arpa', 'PTR')
  await ask(resolver, '1.2.0.192.in-addr.arpa', 'PTR')
  assert.deepEqual(server.asked, ['1.2.0.192.in-addr.arpa PTR'])
})

test('a server that asks us what we ask it is found out and left out', async () => {
  const { resolver, problems } = resolverWith([])
  const mirror = createSocket('udp4')
  cleanups.push(() => mirror.close())
  mirror.on('message', (query, from) =>
    resolver.handle(query, { isTcp: false }, answer => mirror.send(answer, from.port, from.address)),
  )
  mirror.bind(0, HOST)
  await once(mirror, 'listening')
  const good = await upstream(answering('192.0.2.9'))
  resolver.configure({ upstreams: [{ address: HOST, port: mirror.address().port }, good], stubDomains: {} })
  await until('it is found out', async () => (problems['loop'] ?? '') !== '')
  assert.match(problems['loop'] ?? '', /^upstream servers that ask this one are left out: 127\.0\.0\.1#\d+$/)
  assert.equal(textOf(await ask(resolver, 'example.com')), 'NOERROR A 192.0.2.9')
})

test('which servers are asked follows from the ConfigMap, else from the node', () => {
  const hostResolver = 'search a b\nnameserver 127.0.0.53\nnameserver 10.0.0.2\nnameserver 10.152.183.10\n'
  const plan = (data: Record<string, string> | null) => {
    const { config, problems } = planForwarding({ data, hostResolver, own: ['10.152.183.10'] })
    const text = (servers: readonly DnsServer[]) => servers.map(each => `${each.address} ${each.port}`).join()
    const stubs = Object.entries(config.stubDomains).map(([name, servers]) => `${name}: ${text(servers)}`)
    return [text(config.upstreams), ...stubs, ...problems]
  }
  assert.deepEqual(plan(null), ['10.0.0.2 53'])
  assert.deepEqual(plan({ upstreamNameservers: '8.8.8.8,1.1.1.1' }), ['8.8.8.8 53,1.1.1.1 53'])
  assert.deepEqual(plan({ upstreamNameservers: '["::1", "1.1.1.1:5353"]' }), ['::1 53,1.1.1.1 5353'])
  assert.deepEqual(plan({ upstreamNameservers: '[::1]:54 1.1.1.1#55' }), ['::1 54,1.1.1.1 55'])
  assert.deepEqual(plan({ stubDomains: '{"Corp.Test.": ["10.0.0.9"]}' }), [
    '10.0.0.2 53',
    'corp.test: 10.0.0.9 53',
  ])
  const where = 'ConfigMap kube-system/mk8s-dns'
  assert.deepEqual(plan({ upstreamNameservers: 'dns.google 10.152.183.10', stubDomains: '[]' }), [
    '10.0.0.2 53',
    `${where}: upstreamNameservers: dns.google is no address`,
    `${where}: upstreamNameservers: 10.152.183.10 is this DNS itself`,
    `${where}: stubDomains is no map`,
  ])
})
