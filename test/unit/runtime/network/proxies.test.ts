/** Real sockets on loopback: what goes in comes out. */

import assert from 'node:assert/strict'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { type AddressInfo, createConnection, createServer } from 'node:net'
import { test } from 'node:test'
import { systemClock } from '../../../../src/base/clock.ts'
import { Balancer } from '../../../../src/runtime/network/balancer.ts'
import type { ProxyRule } from '../../../../src/runtime/network/proxy-rules.ts'
import { TcpProxy } from '../../../../src/runtime/network/tcp-proxy.ts'
import { UdpProxy } from '../../../../src/runtime/network/udp-proxy.ts'
import type { Backend } from '../../../../src/runtime/network/usable-backends.ts'

const ruleOf = (protocol: 'TCP' | 'UDP', port: number, backends: readonly Backend[]): ProxyRule => ({
  key: `${protocol} 127.0.0.1:${port}`,
  protocol,
  address: '127.0.0.1',
  port,
  service: 'default/web',
  serviceKey: 'default/web',
  backends,
  affinityMs: null,
})

/** A port that was free a moment ago. */
async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

test('TCP: a megabyte goes through, the client may end first, and a dead backend is passed over', async () => {
  const size = 1024 * 1024
  const backend = createServer({ allowHalfOpen: true }, socket => {
    let seen = 0
    socket.on('data', chunk => {
      seen += chunk.length
    })
    socket.on('end', () => socket.end(`got ${seen}`))
  }).listen(0, '127.0.0.1')
  await once(backend, 'listening')
  const alive = { address: '127.0.0.1', port: (backend.address() as AddressInfo).port }
  const dead = { address: '127.0.0.1', port: await freePort() }
  const port = await freePort()
  const proxy = new TcpProxy(new Balancer(ruleOf('TCP', port, [dead, alive]), systemClock))
  await proxy.open()
  const client = createConnection({ port, host: '127.0.0.1' })
  client.end(Buffer.alloc(size))
  const chunks: Buffer[] = []
  for await (const chunk of client) chunks.push(chunk as Buffer)
  assert.equal(Buffer.concat(chunks).toString(), `got ${size}`)
  proxy.destroy()
  backend.close()
})

test('TCP: with no backend left the connection is reset', async () => {
  const port = await freePort()
  const proxy = new TcpProxy(new Balancer(ruleOf('TCP', port, []), systemClock))
  await proxy.open()
  const client = createConnection({ port, host: '127.0.0.1' })
  const [error] = await once(client, 'error')
  assert.equal(error.code, 'ECONNRESET')
  proxy.destroy()
})

test('TCP: a taken port is reported', async () => {
  const port = await freePort()
  const first = new TcpProxy(new Balancer(ruleOf('TCP', port, []), systemClock))
  const second = new TcpProxy(new Balancer(ruleOf('TCP', port, []), systemClock))
  await first.open()
  await assert.rejects(second.open(), { code: 'EADDRINUSE' })
  first.destroy()
})

test('UDP: answers find their way back to the client that asked', async () => {
  const backend = createSocket('udp4')
  backend.on('message', (data, from) => backend.send(`echo ${data}`, from.port, from.address))
  backend.bind(0, '127.0.0.1')
  await once(backend, 'listening')
  const target = { address: '127.0.0.1', port: backend.address().port }
  const port = await freePort()
  const proxy = new UdpProxy(new Balancer(ruleOf('UDP', port, [target]), systemClock), systemClock)
  await proxy.open()
  for (const word of ['one', 'two']) {
    const client = createSocket('udp4')
    client.send(word, port, '127.0.0.1')
    const [answer] = await once(client, 'message')
    assert.equal(String(answer), `echo ${word}`)
    client.close()
  }
  proxy.close()
  backend.close()
})

test('backends take turns, and a client with affinity keeps its own', () => {
  const backends = [1, 2, 3].map(port => ({ address: 'b', port }))
  const balancer = new Balancer(ruleOf('TCP', 80, backends), systemClock)
  const firsts = [1, 2, 3, 4].map(() => balancer.order('x')[0]?.port)
  assert.deepEqual(firsts, [1, 2, 3, 1])
  balancer.rule = { ...balancer.rule, affinityMs: 1_000 }
  const chosen = balancer.order('x')[0]
  assert.ok(chosen)
  balancer.remember('x', chosen)
  for (let i = 0; i < 5; i++) assert.deepEqual(balancer.order('x')[0], chosen)
  balancer.rule = { ...balancer.rule, backends: backends.filter(({ port }) => port !== chosen.port) }
  assert.notDeepEqual(balancer.order('x')[0], chosen)
})

test('connections that a new client with affinity opens together go to one backend', () => {
  const backends = [1, 2, 3].map(port => ({ address: 'b', port }))
  const balancer = new Balancer({ ...ruleOf('TCP', 80, backends), affinityMs: 1_000 }, systemClock)
  const firsts = new Set([1, 2, 3, 4].map(() => balancer.order('x')[0]?.port))
  assert.equal(firsts.size, 1)
})

test('TCP: a backend that was taken away while another one was tried gets no connection', async () => {
  let connections = 0
  const backend = createServer(() => connections++).listen(0, '127.0.0.1')
  await once(backend, 'listening')
  const removed = { address: '127.0.0.1', port: (backend.address() as AddressInfo).port }
  const dead = { address: '127.0.0.1', port: await freePort() }
  const port = await freePort()
  const balancer = new Balancer(ruleOf('TCP', port, [dead, removed]), systemClock)
  const proxy = new TcpProxy(balancer)
  await proxy.open()
  const order = balancer.order.bind(balancer)
  balancer.order = client => {
    const turn = order(client)
    balancer.rule = { ...balancer.rule, backends: [dead] }
    return turn
  }
  const client = createConnection({ port, host: '127.0.0.1' })
  await once(client, 'error')
  assert.equal(connections, 0)
  proxy.destroy()
  backend.close()
})

test('UDP: only the backend answers the client', async () => {
  const backend = createSocket('udp4')
  const stranger = createSocket('udp4')
  backend.on('message', (_data, from) => {
    stranger.send('forged', from.port, from.address, () => backend.send('true', from.port, from.address))
  })
  backend.bind(0, '127.0.0.1')
  await once(backend, 'listening')
  const target = { address: '127.0.0.1', port: backend.address().port }
  const port = await freePort()
  const proxy = new UdpProxy(new Balancer(ruleOf('UDP', port, [target]), systemClock), systemClock)
  await proxy.open()
  const client = createSocket('udp4')
  client.send('who', port, '127.0.0.1')
  const [answer] = await once(client, 'message')
  assert.equal(String(answer), 'true')
  for (const socket of [client, stranger, backend]) socket.close()
  proxy.close()
})

test('TCP: connections to a backend that is gone can be ended, and the others go on', async () => {
  const backends = await Promise.all(
    ['a', 'b'].map(async name => {
      const server = createServer(socket => {
        socket.on('error', () => {})
        socket.write(name)
      }).listen(0, '127.0.0.1')
      await once(server, 'listening')
      return { name, server, backend: { address: '127.0.0.1', port: (server.address() as AddressInfo).port } }
    }),
  )
  const port = await freePort()
  const rule = ruleOf(
    'TCP',
    port,
    backends.map(({ backend }) => backend),
  )
  const balancer = new Balancer(rule, systemClock)
  const proxy = new TcpProxy(balancer)
  await proxy.open()
  const open = async () => {
    const socket = createConnection({ port, host: '127.0.0.1' })
    socket.on('error', () => {})
    const [chunk] = (await once(socket, 'data')) as [Buffer]
    return { name: chunk.toString(), socket }
  }
  const clients = [await open(), await open()]
  const gone = clients.find(({ name }) => name === 'a')
  const kept = clients.find(({ name }) => name === 'b')
  assert.ok(gone && kept)
  const closed = once(gone.socket, 'close')
  balancer.rule = { ...rule, backends: backends.slice(1).map(({ backend }) => backend) }
  proxy.dropGone()
  await closed
  assert.equal(kept.socket.destroyed, false)
  kept.socket.destroy()
  proxy.destroy()
  for (const { server } of backends) server.close()
})
