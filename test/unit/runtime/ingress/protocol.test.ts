/** The routing's ports on loopback, with real sockets: what passes, in which form, and what is refused. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, request as httpRequest, type IncomingMessage, type RequestOptions } from 'node:http'
import {
  connect as connectFramed,
  createServer as createFramedServer,
  type ServerHttp2Stream,
} from 'node:http2'
import { request as httpsRequest } from 'node:https'
import { type AddressInfo, connect } from 'node:net'
import test, { after, before } from 'node:test'
import { connect as connectTls } from 'node:tls'
import { must } from '../../../../src/base/assert.ts'
import {
  ingress,
  ingressClass,
  selfSigned,
  service,
  startBackend,
  startRouter,
  type TestRouter,
} from '../../../support/ingress.ts'
import { until } from '../../../support/until.ts'

let router: TestRouter
const closing: (() => unknown)[] = []
const seen: { line: string; headers: IncomingMessage['headers']; body: string }[] = []

before(async () => {
  const echo = await startBackend(async (request, response) => {
    let body = ''
    request.setEncoding('utf8')
    for await (const chunk of request) body += chunk
    seen.push({ line: `${request.method} ${request.url}`, headers: request.headers, body })
    response.setHeader('set-cookie', ['a=1', 'b=2'])
    response.setHeader('trailer', 'x-sum')
    response.writeHead(200, { 'x-backend': 'echo' })
    response.write(`got ${body.length} ${request.trailers['x-end'] ?? ''}`)
    response.addTrailers({ 'x-sum': '42' })
    response.end()
  })
  echo.server.on('upgrade', (_request, socket, head) => {
    socket.write(
      'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nhello ',
    )
    socket.write(head)
    socket.pipe(socket)
  })
  const drip = await startBackend((_request, response) => {
    response.writeHead(200)
    response.write('first')
    waiting.push(() => response.end('last'))
  })
  const silent = await startBackend(() => {})
  const framed = createFramedServer()
  framed.on('stream', (stream: ServerHttp2Stream, headers) => {
    stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true })
    stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }))
    stream.write(`${headers[':authority']} ${headers['te']} `)
    stream.pipe(stream)
  })
  framed.listen(0, '127.0.0.1')
  await once(framed, 'listening')
  const framedPort = (framed.address() as AddressInfo).port
  const closed = createServer().listen(0, '127.0.0.1')
  await once(closed, 'listening')
  const closedPort = (closed.address() as AddressInfo).port
  closed.close()
  closing.push(
    () => echo.server.close(),
    () => echo.server.closeAllConnections(),
  )
  closing.push(
    () => drip.server.closeAllConnections(),
    () => drip.server.close(),
  )
  closing.push(
    () => silent.server.closeAllConnections(),
    () => silent.server.close(),
    () => framed.close(),
  )
  const annotations = (values: Record<string, string>) => ({
    annotations: Object.fromEntries(
      Object.entries(values).map(([name, value]) => [`nginx.ingress.kubernetes.io/${name}`, value]),
    ),
  })
  router = await startRouter([
    ingressClass(),
    ...service('echo', [`127.0.0.1:${echo.port}`]),
    ...service('half', [`127.0.0.1:${closedPort}`, `127.0.0.1:${echo.port}`]),
    ...service('gone', [`127.0.0.1:${closedPort}`]),
    ...service('drip', [`127.0.0.1:${drip.port}`]),
    ...service('silent', [`127.0.0.1:${silent.port}`]),
    ...service('grpc', [`127.0.0.1:${framedPort}`]),
    ...service('empty', []),
    ingress('echo', [{ host: 'echo.test', service: 'echo' }]),
    ingress('half', [{ host: 'half.test', service: 'half' }]),
    ingress('gone', [{ host: 'gone.test', service: 'gone' }]),
    ingress('empty', [{ host: 'empty.test', service: 'empty' }]),
    ingress('drip', [{ host: 'drip.test', service: 'drip' }]),
    ingress(
      'silent',
      [{ host: 'silent.test', service: 'silent' }],
      annotations({ 'proxy-read-timeout': '1' }),
    ),
    ingress('small', [{ host: 'small.test', service: 'echo' }], annotations({ 'proxy-body-size': '10' })),
    ingress(
      'far',
      [{ host: 'far.test', service: 'echo' }],
      annotations({ 'whitelist-source-range': '10.0.0.0/8' }),
    ),
    ingress('grpc', [{ host: 'grpc.test', service: 'grpc' }], annotations({ 'backend-protocol': 'GRPC' })),
    ingress('tls', [{ host: 'tls.test', service: 'echo' }], {
      spec: { tls: [{ hosts: ['tls.test'], secretName: 'tls' }] },
    }),
  ])
})

const waiting: (() => void)[] = []

after(async () => {
  for (const close of closing) await close()
  await router?.close()
})

interface Got {
  readonly status: number
  readonly headers: IncomingMessage['headers']
  readonly body: string
  readonly trailers: IncomingMessage['trailers']
}

function ask(host: string, options: RequestOptions & { body?: string; secure?: boolean } = {}): Promise<Got> {
  const { body = '', secure = false, ...rest } = options
  const to = { host: '127.0.0.1', port: secure ? router.https : router.http, rejectUnauthorized: false }
  const { promise, resolve, reject } = Promise.withResolvers<Got>()
  const send = secure ? httpsRequest : httpRequest
  const request = send(
    { agent: false, ...to, ...rest, headers: { host, ...rest.headers } },
    async response => {
      let text = ''
      response.setEncoding('utf8')
      for await (const chunk of response) text += chunk
      const { statusCode: status = 0, headers, trailers } = response
      resolve({ status, headers, body: text, trailers })
    },
  )
  request.on('error', reject)
  request.end(body)
  return promise
}

/** Bytes as they are, and what comes back until the other side ends. */
function raw(text: string, port = router.http): Promise<string> {
  const socket = connect(port, '127.0.0.1')
  const { promise, resolve } = Promise.withResolvers<string>()
  let got = ''
  socket.on('data', chunk => {
    got += chunk
  })
  socket.on('error', () => {})
  socket.on('close', () => resolve(got))
  socket.write(text)
  return promise
}

test('a backend sees who asked, and the client gets headers, cookies and trailers', async () => {
  const got = await ask('echo.test', {
    method: 'POST',
    path: '/a//b/../c?x=1',
    body: 'hello',
    headers: { 'x-forwarded-for': '6.6.6.6', 'keep-alive': '5', te: 'gzip', 'content-length': '5' },
  })
  assert.equal(got.status, 200)
  assert.equal(got.body, 'got 5 ')
  assert.deepEqual(got.headers['set-cookie'], ['a=1', 'b=2'])
  assert.equal(got.trailers['x-sum'], '42')
  const { line, headers } = must(seen.at(-1), 'a request')
  assert.equal(line, 'POST /a/c?x=1')
  assert.equal(headers['x-forwarded-for'], '127.0.0.1')
  assert.equal(headers['x-forwarded-proto'], 'http')
  assert.equal(headers['x-forwarded-host'], 'echo.test')
  assert.equal(headers['forwarded'], 'for=127.0.0.1;host="echo.test";proto=http')
  assert.equal(headers['te'], undefined)
  assert.match(headers['x-request-id']?.toString() ?? '', /^[0-9a-f]{32}$/)
})

test('a client that expects 100 Continue sends its body after it, with trailers', async () => {
  const request = httpRequest({
    ...{ host: '127.0.0.1', port: router.http, method: 'PUT', path: '/big', agent: false },
    headers: { host: 'echo.test', expect: '100-continue', 'transfer-encoding': 'chunked', trailer: 'x-end' },
  })
  await once(request, 'continue')
  request.write('x'.repeat(100_000))
  request.addTrailers({ 'x-end': 'over' })
  request.end()
  const [response] = (await once(request, 'response')) as [IncomingMessage]
  let text = ''
  for await (const chunk of response) text += chunk
  assert.equal(text, 'got 100000 over')
})

test('an answer streams: its first bytes come before its last ones exist', async () => {
  const request = httpRequest({
    host: '127.0.0.1',
    port: router.http,
    agent: false,
    headers: { host: 'drip.test' },
  })
  request.end()
  const [response] = (await once(request, 'response')) as [IncomingMessage]
  const [first] = await once(response, 'data')
  assert.equal(String(first), 'first')
  waiting.pop()?.()
  const [last] = await once(response, 'data')
  assert.equal(String(last), 'last')
})

test('an upgrade to WebSocket passes bytes in both directions, other upgrades are none', async () => {
  const socket = connect(router.http, '127.0.0.1')
  let got = ''
  socket.on('data', chunk => {
    got += chunk
  })
  socket.write(
    'GET /ws HTTP/1.1\r\nHost: echo.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nearly ',
  )
  await until('the greeting is there', () => got.includes('hello early '))
  assert.match(got, /^HTTP\/1\.1 101 /)
  socket.write('ping')
  await until('the echo is there', () => got.endsWith('ping'))
  socket.destroy()
  const other = await raw(
    'GET /h2c HTTP/1.1\r\nHost: echo.test\r\nConnection: Upgrade, HTTP2-Settings, close\r\nUpgrade: h2c\r\nHTTP2-Settings: AAA\r\n\r\n',
  )
  assert.match(other, /^HTTP\/1\.1 200 /)
  assert.equal(seen.at(-1)?.headers.upgrade, undefined)
})

test('HTTP/2 is served with TLS and without, and gRPC passes with its trailers', async () => {
  for (const origin of [`https://127.0.0.1:${router.https}`, `http://127.0.0.1:${router.http}`]) {
    const session = connectFramed(origin, { rejectUnauthorized: false })
    const stream = session.request({
      ':method': 'POST',
      ':path': '/svc/Call',
      ':authority': 'grpc.test',
      te: 'trailers',
    })
    const trailers = once(stream, 'trailers')
    stream.setEncoding('utf8')
    stream.end('message')
    let body = ''
    for await (const chunk of stream) body += chunk
    assert.equal(body, 'grpc.test trailers message')
    assert.equal((await trailers)[0]['grpc-status'], '0')
    const plain = session.request({ ':path': '/two', ':authority': 'echo.test' })
    plain.setEncoding('utf8')
    let answer = ''
    for await (const chunk of plain) answer += chunk
    assert.equal(answer, 'got 0 ')
    session.close()
  }
})

test('what refuses is passed over, and what nobody answers for has plain pages', async () => {
  for (let turn = 0; turn < 4; turn++)
    assert.equal((await ask('half.test', { method: 'POST', body: 'x' })).status, 200)
  assert.deepEqual(
    [(await ask('gone.test')).status, (await ask('empty.test')).status, (await ask('silent.test')).status],
    [502, 503, 504],
  )
  const unknown = await ask('unknown.test')
  assert.deepEqual([unknown.status, unknown.body], [404, '404 Not Found\n'])
  assert.equal((await ask('far.test')).status, 403)
})

test('a body has its limit, whether it says its length or not', async () => {
  assert.equal((await ask('small.test', { method: 'POST', body: 'short' })).status, 200)
  assert.equal(
    (await ask('small.test', { method: 'POST', headers: { 'content-length': '11' }, body: 'x'.repeat(11) }))
      .status,
    413,
  )
  const chunked = await raw(
    'POST / HTTP/1.1\r\nHost: small.test\r\nTransfer-Encoding: chunked\r\n\r\nb\r\nxxxxxxxxxxx\r\n0\r\n\r\n',
  )
  assert.match(chunked, /^HTTP\/1\.1 413 /)
})

test('requests that could be read in two ways are refused, and end the connection', async () => {
  const before = seen.length
  const tail = 'GET /smuggled HTTP/1.1\r\nHost: echo.test\r\n\r\n'
  const attempts = [
    'POST / HTTP/1.1\r\nHost: echo.test\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
    'POST / HTTP/1.1\r\nHost: echo.test\r\nContent-Length: 4\r\nContent-Length: 6\r\n\r\nabcd',
    'POST / HTTP/1.1\r\nHost: echo.test\r\nContent-Length: 4, 4\r\n\r\nabcd',
    'POST / HTTP/1.1\r\nHost: echo.test\r\nContent-Length: +4\r\n\r\nabcd',
    'POST / HTTP/1.1\r\nHost: echo.test\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n',
    'POST / HTTP/1.1\r\nHost: echo.test\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n',
    'POST / HTTP/1.1\r\nHost: echo.test\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n',
    'POST / HTTP/1.0\r\nHost: echo.test\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
    'GET / HTTP/1.1\r\nHost: echo.test\r\nHost: other.test\r\n\r\n',
    'GET / HTTP/1.1\r\nHost: echo.test\r\nX: a\r\n b\r\n\r\n',
    'GET / HTTP/1.1\r\n\r\n',
    'GET / HTTP/1.1\nHost: echo.test\n\n',
  ]
  for (const attempt of attempts) {
    const got = await raw(`${attempt}${tail}`)
    assert.match(got, /^HTTP\/1\.1 400 /, JSON.stringify(attempt))
    assert.equal(got.match(/HTTP\/1\.1 /g)?.length, 1, JSON.stringify(attempt))
  }
  assert.deepEqual(
    seen.slice(before).map(({ line }) => line),
    [],
  )
})

test('paths that would leave the root or hide something are refused', async () => {
  for (const path of ['/../etc', '/a/%2e%2e/%2E%2E/b', '/%00', '/a\\b', '/%zz', 'nothing']) {
    const got = await raw(`GET ${path} HTTP/1.1\r\nHost: echo.test\r\nConnection: close\r\n\r\n`)
    assert.match(got, /^HTTP\/1\.1 400 /, path)
  }
})

test('headers that are too many bytes are refused', async () => {
  const got = await raw(`GET / HTTP/1.1\r\nHost: echo.test\r\nX: ${'x'.repeat(40_000)}\r\n\r\n`)
  assert.match(got, /^HTTP\/1\.1 431 /)
})

test('certificates are chosen by name and change without a new connection to anything', async () => {
  const nameFor = (servername: string) => {
    const socket = connectTls({
      host: '127.0.0.1',
      port: router.https,
      servername,
      rejectUnauthorized: false,
    })
    return once(socket, 'secureConnect').then(() => {
      const { subject } = socket.getPeerCertificate()
      socket.destroy()
      return subject.CN
    })
  }
  assert.equal(await nameFor('tls.test'), 'ingress.local')
  router.router.certify([['default/tls', await selfSigned('tls.test')]])
  assert.equal(await nameFor('tls.test'), 'tls.test')
  assert.equal(await nameFor('echo.test'), 'ingress.local')
  router.router.certify([['default/tls', await selfSigned('newer.test')]])
  assert.equal(await nameFor('tls.test'), 'newer.test')
  const redirect = await ask('tls.test', { path: '/a?b=1' })
  assert.deepEqual([redirect.status, redirect.headers.location], [308, 'https://tls.test/a?b=1'])
  assert.equal(
    (await ask('tls.test', { secure: true, servername: 'tls.test' } as RequestOptions)).status,
    200,
  )
  assert.equal(seen.at(-1)?.headers['x-forwarded-proto'], 'https')
})

test('behind a balancer with the PROXY protocol, backends see its clients, with TLS too', async () => {
  const echo = await startBackend((request, response) => response.end(request.headers['x-forwarded-for']))
  const behind = await startRouter(
    [ingressClass(), ...service('echo', [`127.0.0.1:${echo.port}`]), ingress('echo', [{ service: 'echo' }])],
    { proxyProtocol: true },
  )
  const header = 'PROXY TCP4 192.0.2.7 127.0.0.1 4000 80\r\n'
  const ask = 'GET / HTTP/1.1\r\nHost: x.test\r\nConnection: close\r\n\r\n'
  assert.match(await raw(`${header}${ask}`, behind.http), /\r\n\r\n192\.0\.2\.7$/)
  assert.equal(await raw(ask, behind.http), '')
  const socket = connect(behind.https, '127.0.0.1')
  socket.cork()
  socket.write(header)
  const secured = connectTls({ socket, servername: 'x.test', rejectUnauthorized: false })
  process.nextTick(() => socket.uncork())
  secured.write(ask)
  let got = ''
  for await (const chunk of secured) got += chunk
  assert.match(got, /\r\n\r\n192\.0\.2\.7$/)
  await behind.close()
  echo.server.closeAllConnections()
  echo.server.close()
})
