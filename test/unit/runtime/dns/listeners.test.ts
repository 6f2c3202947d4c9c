/** The sockets: Node's own resolver asks, and a connection asks many things at once, in pieces. */
import assert from 'node:assert/strict'
import { createSocket } from 'node:dgram'
import { Resolver } from 'node:dns/promises'
import { once } from 'node:events'
import { connect } from 'node:net'
import { after, before, test } from 'node:test'
import { decode, encode } from 'dns-packet'
import { type Listeners, listen } from '../../../../src/runtime/dns/listeners.ts'
import { testResolver } from '../../../support/dns.ts'
import { until } from '../../../support/until.ts'

const WHERE = { address: '127.53.0.3', port: 10_053 + (process.pid % 20_000) }
let listeners: Listeners
const resolver = testResolver()
const client = new Resolver()

before(async () => {
  listeners = await listen(WHERE, (query, how, reply) => resolver.handle(query, how, reply))
  client.setServers([`${WHERE.address}:${WHERE.port}`])
})
after(() => listeners.close())

test("Node's resolver finds addresses, ports, texts, aliases and names", async () => {
  assert.deepEqual(await client.resolve4('web.shop.svc.cluster.local'), ['10.152.183.20'])
  assert.deepEqual(await client.resolveTxt('dns-version.cluster.local'), [['1.1.0']])
  const [found] = await client.resolveSrv('_http._tcp.web.shop.svc.cluster.local')
  assert.deepEqual([found?.name, found?.port], ['web.shop.svc.cluster.local', 80])
  assert.deepEqual(await client.reverse('10.1.0.5'), ['db-0.db.shop.svc.cluster.local'])
  await assert.rejects(client.resolve4('none.shop.svc.cluster.local'), { code: 'ENOTFOUND' })
  await assert.rejects(client.resolve6('web.shop.svc.cluster.local'), { code: 'ENODATA' })
})

test('a connection asks many things before the first answer, in pieces of any size', async () => {
  const names = Array.from({ length: 200 }, (_, index) => (index % 2 === 0 ? 'web' : `none-${index}`))
  const queries = names.map((name, id) => {
    const query = encode({
      type: 'query',
      id,
      questions: [{ type: 'A', name: `${name}.shop.svc.cluster.local` }],
    })
    return Buffer.concat([Buffer.from([query.length >> 8, query.length & 255]), query])
  })
  const socket = connect(WHERE.port, WHERE.address)
  await once(socket, 'connect')
  let received = Buffer.alloc(0)
  socket.on('data', (data: Buffer) => {
    received = Buffer.concat([received, data])
  })
  const bytes = Buffer.concat(queries)
  for (let at = 0; at < bytes.length; at += 777) socket.write(bytes.subarray(at, at + 777))
  const answers = () => {
    const found = []
    for (let at = 0; at + 2 <= received.length; ) {
      const end = at + 2 + received.readUInt16BE(at)
      if (end > received.length) break
      found.push(decode(received.subarray(at + 2, end)))
      at = end
    }
    return found
  }
  await until('all are answered', async () => answers().length === names.length)
  for (const { id = 0, answers: records } of answers()) assert.equal(records?.length, id % 2 === 0 ? 1 : 0)
  socket.destroy()
})

test('garbage over either way takes nobody else down', async () => {
  const udp = createSocket('udp4')
  for (const bytes of [Buffer.alloc(1), Buffer.alloc(600, 255), Buffer.alloc(12)]) {
    udp.send(bytes, WHERE.port, WHERE.address)
  }
  const socket = connect(WHERE.port, WHERE.address)
  socket.on('error', () => {})
  await once(socket, 'connect')
  socket.write(Buffer.alloc(70_000, 255))
  assert.deepEqual(await client.resolve4('web.shop.svc.cluster.local'), ['10.152.183.20'])
  udp.close()
  socket.destroy()
})

test('an address that is taken is an error, and nothing of it stays open', async () => {
  await assert.rejects(
    listen(WHERE, () => {}),
    { code: 'EADDRINUSE' },
  )
})
