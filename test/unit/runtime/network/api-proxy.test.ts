/** Real sockets on loopback: clients of the local proxy stay connected to a server that lives. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { type AddressInfo, createConnection, createServer, type Server, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { systemClock } from '../../../../src/base/clock.ts'
import { createLog } from '../../../../src/base/log.ts'
import { systemRandom } from '../../../../src/base/random.ts'
import { createApiProxy } from '../../../../src/runtime/network/api-proxy.ts'
import { serversOf } from '../../../../src/runtime/network/api-server-feed.ts'
import { ApiServers, writeServers } from '../../../../src/runtime/network/api-servers.ts'

const directory = mkdtempSync(join(tmpdir(), 'mk8s-api-proxy-'))
after(() => rmSync(directory, { recursive: true, force: true }))
const log = createLog({ level: 'error', now: Date.now, write: () => {} })
const signal = new AbortController().signal

interface Backend {
  readonly port: number
  end(): void
}

/** Says its name, then repeats what it hears. */
async function startBackend(name: string): Promise<Backend> {
  const sockets = new Set<Socket>()
  const server: Server = createServer(socket => {
    sockets.add(socket)
    socket.on('error', () => {})
    socket.write(name)
    socket.pipe(socket)
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    port: (server.address() as AddressInfo).port,
    end() {
      server.close()
      for (const socket of sockets) socket.resetAndDestroy()
    },
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

const at = (port: number) => ({ address: '127.0.0.1', port })

type Probe = Parameters<typeof createApiProxy>[0]['probe']

const isReady: Probe = async () => true

async function proxyOver(file: string, ports: readonly number[], probe = isReady) {
  const path = join(directory, file)
  writeServers(path, ports.map(at))
  const servers = new ApiServers(path)
  const listen = at(await freePort())
  const proxy = createApiProxy({ listen, servers, probe, clock: systemClock, random: systemRandom, log })
  await proxy.start(signal)
  return { proxy, servers, path, port: listen.port }
}

async function ask(port: number): Promise<string> {
  const socket = createConnection({ host: '127.0.0.1', port })
  const [chunk] = (await once(socket, 'data')) as [Buffer]
  socket.destroy()
  return chunk.toString()
}

test('a client stays with the server that answered, and goes on to another one that lives', async () => {
  const [a, b] = [await startBackend('a'), await startBackend('b')]
  const { proxy, port } = await proxyOver('failover.json', [a.port, b.port, await freePort()])
  const first = await ask(port)
  for (let index = 0; index < 5; index++) assert.equal(await ask(port), first)
  const [used, other] = first === 'a' ? [a, b] : [b, a]
  const watch = createConnection({ host: '127.0.0.1', port })
  watch.on('error', () => {})
  await once(watch, 'data')
  const closed = once(watch, 'close')
  used.end()
  await closed
  const second = await ask(port)
  assert.notEqual(second, first)
  assert.equal(proxy.health().ok, true)
  other.end()
  await assert.rejects(ask(port))
  assert.match(proxy.health().reason, /none of the API servers/)
  await proxy.stop()
})

test('connections to a server that the cluster has given up are ended', async () => {
  const [a, b] = [await startBackend('a'), await startBackend('b')]
  const { proxy, port, servers, path } = await proxyOver('given-up.json', [a.port, b.port])
  const watch = createConnection({ host: '127.0.0.1', port })
  const [chunk] = (await once(watch, 'data')) as [Buffer]
  const kept = chunk.toString() === 'a' ? b : a
  const gone = kept === a ? b : a
  const closed = once(watch, 'close')
  servers.set([at(kept.port)])
  await closed
  assert.equal(await ask(port), kept === a ? 'a' : 'b')
  const again = new ApiServers(path)
  assert.deepEqual(again.current, [at(kept.port)])
  assert.deepEqual(again.former, [at(gone.port)])
  // Whoever is left may die, and the former one come back.
  kept.end()
  assert.equal(await ask(port), gone === a ? 'a' : 'b')
  gone.end()
  await proxy.stop()
})

test('a server that hangs, and one that is cut off from the others, are left for one that is ready', async () => {
  const [a, b, c] = [await startBackend('a'), await startBackend('b'), await startBackend('c')]
  const names = new Map([a, b, c].map((backend, index) => [backend.port, 'abc'[index]]))
  const states = new Map<string, 'ready' | 'unready' | 'hangs'>()
  const probe: Probe = async ({ port: asked }, late) => {
    const state = states.get(names.get(asked) ?? '') ?? 'ready'
    if (state === 'hangs') await once(late, 'abort').then(() => assert.fail())
    return state === 'ready'
  }
  const { proxy, port } = await proxyOver('hangs.json', [a.port, b.port, c.port], probe)
  const watch = async (): Promise<{ name: string; closed: Promise<unknown> }> => {
    const socket = createConnection({ host: '127.0.0.1', port })
    socket.on('error', () => {})
    const [chunk] = (await once(socket, 'data')) as [Buffer]
    return { name: chunk.toString(), closed: once(socket, 'close') }
  }
  const first = await watch()
  states.set(first.name, 'hangs')
  await first.closed
  const second = await watch()
  assert.notEqual(second.name, first.name)
  states.set(second.name, 'unready')
  await second.closed
  const third = await watch()
  assert.deepEqual([first.name, second.name, third.name].sort(), ['a', 'b', 'c'])
  await proxy.stop()
  for (const backend of [a, b, c]) backend.end()
})

test('a worker without a list of servers says so', async () => {
  const path = join(directory, 'damaged.json')
  writeFileSync(path, '{"current": 1')
  const servers = new ApiServers(path)
  const parts = { servers, probe: isReady, clock: systemClock, random: systemRandom, log }
  const proxy = createApiProxy({ ...parts, listen: at(await freePort()) })
  await assert.rejects(proxy.start(signal), /does not know where the API servers are/)
})

test('the list follows endpoint slices, and an empty one is not believed', () => {
  const path = join(directory, 'list.json')
  const servers = new ApiServers(path)
  const endpoints = [
    { addresses: ['10.0.0.1'], conditions: { ready: true } },
    { addresses: ['fd00::2'] },
    { addresses: ['10.0.0.3'], conditions: { ready: false } },
  ]
  const slice = {
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: {},
    addressType: 'IPv4',
  }
  servers.set(serversOf({ ...slice, endpoints, ports: [{ name: 'https', port: 16443 }] }))
  assert.deepEqual(JSON.parse(readFileSync(path, 'utf8')).current, ['10.0.0.1:16443', '[fd00::2]:16443'])
  servers.set([])
  assert.equal(new ApiServers(path).current.length, 2)
})
