import assert from 'node:assert/strict'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { createServer as createHttp2Server, type ServerHttp2Stream } from 'node:http2'
import type { AddressInfo } from 'node:net'
import { type TestContext, test } from 'node:test'
import { must } from '../../../../../src/base/assert.ts'
import type { Probe } from '../../../../../src/kube/types.ts'
import { type ProbeTarget, runProbe } from '../../../../../src/runtime/kubelet/probes/probe-runner.ts'

const target = (exec: ProbeTarget['runtime']['exec'] = async () => assert.fail('nothing is run')) => ({
  // Of a runtime, a probe uses this much.
  runtime: { isVirtual: false, exec } as unknown as ProbeTarget['runtime'],
  container: { name: 'main', ports: [{ name: 'web', containerPort: 70_000 }] },
  containerId: 'c',
  podAddress: '127.0.0.1',
})

async function webServer(
  t: TestContext,
  answer: (request: IncomingMessage, response: ServerResponse) => void,
) {
  const server = createServer(answer)
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  t.after(() => server.close())
  return (server.address() as AddressInfo).port
}

const get = (port: number, path: string, more: Partial<Probe['httpGet']> = {}) =>
  runProbe({ httpGet: { port, path, ...more } }, target())

test('redirects on the host are followed, one that leaves it is a warning, and too many fail', async t => {
  const port = await webServer(t, ({ url = '', headers }, response) => {
    const to: Record<string, string> = { '/near': '/good', '/far': 'http://192.0.2.1/x', '/round': '/round' }
    const location = to[url]
    if (location === undefined) return void response.writeHead(headers['x-token'] ? 200 : 500).end('told')
    response.writeHead(302, { location }).end('moved')
  })
  const httpHeaders = [{ name: 'X-Token', value: 'a' }]
  assert.deepEqual(await get(port, '/near', { httpHeaders }), { result: 'success', message: '' })
  const failed = 'HTTP probe failed with statuscode: 500'
  assert.deepEqual(await get(port, '/near'), { result: 'failure', message: failed })
  const warning = 'Probe terminated redirects, Response body: moved'
  assert.deepEqual(await get(port, '/far'), { result: 'warning', message: warning })
  const { result, message } = await get(port, '/round')
  assert.equal(result, 'failure')
  assert.match(message, /^Get ".*\/round": stopped after 10 redirects$/)
})

test('headers are sent as they are, several of one name too, and a user agent of the probe otherwise', async t => {
  let seen: IncomingMessage | undefined
  const port = await webServer(t, (request, response) => {
    seen = request
    response.end()
  })
  await get(port, 'bare', {
    httpHeaders: [
      ...[{ name: 'Host', value: 'shop.example' }],
      ...['1', '2'].map(value => ({ name: 'X-Many', value })),
      ...[{ name: 'Accept', value: '' }],
    ],
  })
  const { url, headers, headersDistinct } = must(seen, 'a request')
  assert.deepEqual(
    [url, headers.host, headers['user-agent'], headers.accept, headersDistinct['x-many']],
    ['/bare', 'shop.example', 'kube-probe/1.36', undefined, ['1', '2']],
  )
})

test('what says nothing about the container is neither success nor failure', async () => {
  const named = await runProbe({ tcpSocket: { port: 'nowhere' } }, target())
  assert.deepEqual(named, { result: 'unknown', message: 'port nowhere not found' })
  const beyond = await runProbe({ httpGet: { port: 'web' } }, target())
  assert.deepEqual(beyond, { result: 'unknown', message: 'invalid port number: 70000' })
  const missing = target(async () => {
    throw new Error('executable file not found')
  })
  const errored = { result: 'unknown', message: 'executable file not found' }
  assert.deepEqual(await runProbe({ exec: { command: ['none'] } }, missing), errored)
})

test('a program that takes too long is named in full', async () => {
  const late = target(async () => ({ exitCode: 137, stdout: 'x', stderr: '', timedOut: true }))
  const { message } = await runProbe({ exec: { command: ['sh', '-c', 'sleep 9'] }, timeoutSeconds: 2 }, late)
  assert.equal(message, 'command timed out: "sh -c sleep 9" timed out after 2s')
})

test('gRPC asks for the service by its name, and tells how it is not served', async t => {
  const server = createHttp2Server()
  server.on('stream', (stream: ServerHttp2Stream) => {
    const parts: Buffer[] = []
    stream.on('data', (part: Buffer) => parts.push(part))
    stream.on('end', () => {
      const body = Buffer.concat(parts)
      const name = body.subarray(body.length > 130 ? 8 : 7).toString()
      const code = { lost: '5', old: '12' }[name] ?? '0'
      stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true })
      stream.on('wantTrailers', () =>
        stream.sendTrailers({ 'grpc-status': code, 'grpc-message': 'un%20known' }),
      )
      const status = name === 'down' ? 2 : name === '' || name === 'l'.repeat(200) ? 1 : 3
      stream.end(code === '0' ? Buffer.from([0, 0, 0, 0, 2, 8, status]) : undefined)
    })
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  t.after(() => server.close())
  const { port } = server.address() as AddressInfo
  const ask = async (service?: string) =>
    (await runProbe({ grpc: { port, ...(service ? { service } : {}) } }, target())).message
  assert.equal(await ask(), '')
  assert.equal(await ask('l'.repeat(200)), '')
  assert.equal(await ask('down'), 'service unhealthy (responded with "NOT_SERVING")')
  assert.equal(
    await ask('lost'),
    'error: health rpc probe failed: rpc error: code = NotFound desc = un known',
  )
  assert.match(await ask('old'), /^error: this server does not implement the grpc health protocol/)
})
