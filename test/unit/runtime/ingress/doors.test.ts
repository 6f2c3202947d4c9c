/** Ports of Gateways' own with real sockets: HTTP, TLS passed on as it is or decrypted, and ports that are taken. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { request } from 'node:http'
import { type AddressInfo, createServer, type Server } from 'node:net'
import test, { after, before } from 'node:test'
import { connect as connectTls, createServer as createTlsServer } from 'node:tls'
import type { KubeObject } from '../../../../src/kube/object.ts'
import { parseClosedPorts, renderClosedPorts } from '../../../../src/runtime/ingress/doors.ts'
import { parseServerName } from '../../../../src/runtime/ingress/server-name.ts'
import {
  ingress,
  ingressClass,
  selfSigned,
  service,
  startBackend,
  startRouter,
} from '../../../support/ingress.ts'
import { until } from '../../../support/until.ts'

const GROUP = 'gateway.networking.k8s.io/v1'
const closing: (() => unknown)[] = []
let closed = ''
let router: Awaited<ReturnType<typeof startRouter>>
const ports = { http: 0, tls: 0, taken: 0 }
let squatter: Server

const portOf = (server: Server) => (server.address() as AddressInfo).port
async function listen(server: Server): Promise<number> {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return portOf(server)
}

async function freePort(): Promise<number> {
  const server = createServer()
  const port = await listen(server)
  server.close()
  return port
}

const gateway = (listeners: object[]): KubeObject => ({
  ...{ apiVersion: GROUP, kind: 'Gateway', metadata: { name: 'own', namespace: 'default' } },
  spec: { gatewayClassName: 'mk8s', listeners },
})
const route = (kind: string, name: string, sectionName: string, more: object): KubeObject => ({
  ...{ apiVersion: GROUP, kind, metadata: { name, namespace: 'default' } },
  spec: {
    parentRefs: [{ name: 'own', sectionName }],
    rules: [{ backendRefs: [{ name, port: 80 }] }],
    ...more,
  },
})

before(async () => {
  const plain = await startBackend((asked, response) =>
    response.end(`plain ${asked.url} ${asked.headers['x-forwarded-port']}`),
  )
  closing.push(() => plain.server.close())
  const { certificate: cert, key } = await selfSigned('inside.test')
  const secure = createTlsServer({ cert, key }, socket => {
    socket.on('error', () => {})
    socket.end('inside')
  })
  const securePort = await listen(secure)
  const echo = createServer(socket => {
    socket.on('error', () => {})
    socket.pipe(socket)
  })
  const echoPort = await listen(echo)
  squatter = createServer()
  Object.assign(ports, { http: await freePort(), tls: await freePort(), taken: await listen(squatter) })
  closing.push(
    () => secure.close(),
    () => echo.close(),
  )
  router = await startRouter(
    [
      {
        ...{ apiVersion: GROUP, kind: 'GatewayClass', metadata: { name: 'mk8s' } },
        spec: { controllerName: 'mk8s.io/gateway' },
      },
      gateway([
        { name: 'http', port: ports.http, protocol: 'HTTP' },
        { name: 'taken', port: ports.taken, protocol: 'HTTP' },
        {
          name: 'pass',
          port: ports.tls,
          protocol: 'TLS',
          hostname: '*.pass.test',
          tls: { mode: 'Passthrough' },
        },
        {
          name: 'end',
          port: ports.tls,
          protocol: 'TLS',
          hostname: 'end.test',
          tls: { certificateRefs: [{ name: 'end' }] },
        },
        {
          name: 'web',
          port: ports.tls,
          protocol: 'HTTPS',
          hostname: 'web.test',
          tls: { certificateRefs: [{ name: 'web' }] },
        },
        { name: 'shared', port: 443, protocol: 'TLS', tls: { mode: 'Passthrough' } },
      ]),
      ...service('plain', [`127.0.0.1:${plain.port}`]),
      ...service('secure', [`127.0.0.1:${securePort}`]),
      ...service('echo', [`127.0.0.1:${echoPort}`]),
      route('HTTPRoute', 'plain', 'http', {}),
      { ...route('HTTPRoute', 'plain', 'web', {}), metadata: { name: 'plain-web', namespace: 'default' } },
      route('TLSRoute', 'secure', 'pass', {}),
      { ...route('TLSRoute', 'secure', 'shared', {}), metadata: { name: 'all', namespace: 'default' } },
      route('TLSRoute', 'echo', 'end', {}),
      ...[ingressClass(), ingress('mine', [{ host: 'mine.test', service: 'plain' }])],
    ],
    {},
    now => {
      closed = renderClosedPorts(now)
    },
  )
  router.router.certify([
    ['default/end', await selfSigned('end.test')],
    ['default/web', await selfSigned('web.test')],
  ])
})

after(async () => {
  for (const close of closing) await close()
  await router?.close()
  squatter?.close()
})

/** The name in the certificate, and all that comes back. */
async function askTls(servername: string, port: number, text = ''): Promise<readonly [string, string]> {
  const socket = connectTls({ host: '127.0.0.1', port, servername, rejectUnauthorized: false })
  let got = ''
  socket.on('data', chunk => {
    got += chunk
    if (got === text) socket.end()
  })
  await once(socket, 'secureConnect')
  const subject = String(socket.getPeerCertificate().subject.CN)
  if (text !== '') socket.write(text)
  await once(socket, 'close')
  return [subject, got]
}

function ask(port: number, host = 'any.test'): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>()
  const asked = request(
    { host: '127.0.0.1', port, path: '/x', agent: false, headers: { host } },
    async response => {
      let body = ''
      for await (const chunk of response) body += chunk
      resolve(`${response.statusCode} ${body}`)
    },
  )
  asked.on('error', reject).end()
  return promise
}

test('a Gateway has its routes on a port of its own, and Ingresses are not there', async () => {
  await until('the port is open', () =>
    ask(ports.http).then(
      text => text === `200 plain /x ${ports.http}`,
      () => false,
    ),
  )
  assert.match(await ask(router.http), /^404/)
  assert.match(await ask(router.http, 'mine.test'), /^200 plain/)
})

const get = (host: string) => `GET / HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`

test('TLS is passed on as it is, decrypted, or HTTPS, by the name that the handshake asks for', async () => {
  let web: readonly [string, string] = ['', '']
  await until('the port is open', async () => {
    web = await askTls('web.test', ports.tls, get('web.test')).catch(() => web)
    return web[0] !== ''
  })
  assert.equal(web[0], 'web.test')
  assert.match(web[1], /200 OK[\s\S]*plain \//)
  assert.deepEqual(await askTls('a.pass.test', ports.tls), ['inside.test', 'inside'])
  assert.deepEqual(await askTls('end.test', ports.tls, 'hello'), ['end.test', 'hello'])
})

test('on the shared port a listener for all names leaves those of Ingresses alone', async () => {
  assert.deepEqual(await askTls('other.test', router.https), ['inside.test', 'inside'])
  const [subject, answer] = await askTls('mine.test', router.https, get('mine.test'))
  assert.equal(subject, 'ingress.local')
  assert.match(answer, /200 OK/)
})

test('a port that is taken is told of, and opened once it is free', async () => {
  await until('it is told', async () => closed !== '')
  assert.deepEqual([...parseClosedPorts(closed)], [[ports.taken, 'is taken by another program']])
  squatter.close()
  await until('it answers', () =>
    ask(ports.taken).then(
      text => text.startsWith('404'),
      () => false,
    ),
  )
  assert.equal(closed, '')
})

test('a port goes with its listener, and connections elsewhere stay', async () => {
  router.change(gateway([{ name: 'http', port: ports.http, protocol: 'HTTP' }]))
  await until('the port is closed', () =>
    ask(ports.taken).then(
      () => false,
      () => true,
    ),
  )
  assert.match(await ask(ports.http), /^200/)
})

test('what comes by a name outside is not reached on this machine', async () => {
  const outside: KubeObject = {
    ...{ apiVersion: 'v1', kind: 'Service', metadata: { name: 'outside', namespace: 'default' } },
    spec: { type: 'ExternalName', externalName: 'localhost' },
  }
  const { port, server } = await startBackend((_, response) => response.end('secret'))
  closing.push(() => server.close())
  const to = {
    host: 'out.test',
    http: {
      paths: [
        { path: '/', pathType: 'Prefix', backend: { service: { name: 'outside', port: { number: port } } } },
      ],
    },
  }
  const objects = [ingressClass(), outside, ingress('out', [], { spec: { rules: [to] } })]
  const [open, shut] = [await startRouter(objects), await startRouter(objects, { loopbackPods: '' })]
  closing.push(
    () => open.close(),
    () => shut.close(),
  )
  assert.equal(await ask(open.http, 'out.test'), '200 secret')
  assert.match(await ask(shut.http, 'out.test'), /^502/)
})

test('the name of a handshake is read whatever the pieces are, and what is none is refused', async () => {
  let hello: Buffer = Buffer.alloc(0)
  const server = createServer(socket =>
    socket.once('data', chunk => {
      hello = Buffer.from(chunk)
      socket.destroy()
    }),
  )
  const port = await listen(server)
  const socket = connectTls({ host: '127.0.0.1', port, servername: 'Deep.Name.test' })
  await once(socket, 'error')
  server.close()
  for (let at = 1; at < hello.length; at++) assert.equal(parseServerName(hello.subarray(0, at)), 'more')
  assert.deepEqual(parseServerName(hello), { name: 'deep.name.test' })
  const body = hello.subarray(5)
  const record = (part: Buffer) =>
    Buffer.concat([Buffer.from([22, 3, 1, part.length >> 8, part.length & 255]), part])
  const split = Buffer.concat([
    record(body.subarray(0, 3)),
    record(body.subarray(3, 60)),
    record(body.subarray(60)),
  ])
  assert.deepEqual(parseServerName(split), { name: 'deep.name.test' })
  assert.equal(parseServerName(split.subarray(0, 40)), 'more')
  const crumbs = Buffer.concat([...body.subarray(0, 100)].map(byte => record(Buffer.from([byte]))))
  assert.equal(parseServerName(crumbs), 'bad')
  assert.equal(parseServerName(Buffer.from('GET / HTTP/1.1\r\n')), 'bad')
  assert.equal(parseServerName(Buffer.from([22, 3, 1, 0, 4, 1, 255, 255, 255])), 'bad')
  const broken = Buffer.from(body)
  broken.writeUInt16BE(0xffff, broken.indexOf('Deep.Name.test') - 2)
  assert.equal(parseServerName(record(broken)), 'bad')
})
