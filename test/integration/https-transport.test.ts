/** The HTTPS transport against a real TLS server on loopback. */
import assert from 'node:assert/strict'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { createServer, type Server } from 'node:https'
import type { AddressInfo } from 'node:net'
import { after, before, test } from 'node:test'
import type { TLSSocket } from 'node:tls'
import { systemRandom } from '../../src/base/random.ts'
import { HttpsTransport } from '../../src/client/https-transport.ts'
import { isNotFound, KubeClient } from '../../src/client/kube-client.ts'
import { PODS } from '../../src/client/resources.ts'
import { generateKey, issueAuthority, issueLeaf, type PemPair } from '../../src/runtime/pki/issue.ts'

const DAY_MS = 86_400_000
const validity = { notBefore: new Date(Date.now() - DAY_MS), notAfter: new Date(Date.now() + DAY_MS) }
let ca: PemPair
let server: Server
let url: string
/** Connections that the server has seen. */
const connections = new Set<unknown>()
let respond: (request: IncomingMessage, response: ServerResponse) => void = () => {}

async function issue(commonName: string): Promise<{ certificate: string; key: string }> {
  const key = generateKey()
  const plan = {
    name: 'apiserver',
    authority: 'cluster-ca',
    commonName,
    usages: ['server', 'client'],
    dnsNames: ['localhost'],
    ipAddresses: ['127.0.0.1', '::1'],
    uris: [],
  } as const
  return { certificate: await issueLeaf(plan, { authority: ca, key, validity, random: systemRandom }), key }
}

before(async () => {
  ca = await issueAuthority('test-ca', validity, systemRandom)
  const { certificate, key } = await issue('server')
  const tls = { cert: certificate, key, ca: ca.certificate, requestCert: true, rejectUnauthorized: false }
  server = createServer(tls, (request, response) => {
    connections.add(request.socket)
    respond(request, response)
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  url = `https://127.0.0.1:${(server.address() as AddressInfo).port}`
})
after(() => server.close())

const pod = { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'p', resourceVersion: '7' } }

test('requests carry the client certificate and share a connection', async () => {
  const { certificate, key } = await issue('someone')
  const transport = new HttpsTransport({
    server: url,
    caPem: ca.certificate,
    certificatePem: certificate,
    keyPem: key,
  })
  const client = new KubeClient(transport)
  const seen: unknown[] = []
  respond = (request, response) => {
    seen.push((request.socket as TLSSocket).getPeerCertificate().subject.CN, request.url)
    response.end(JSON.stringify(pod))
  }
  await client.get(PODS, { namespace: 'default', name: 'p' })
  connections.clear()
  await client.get(PODS, { namespace: 'default', name: 'p' })
  await client.create(PODS, pod, { namespace: 'default' })
  assert.equal(connections.size, 1)
  assert.deepEqual(seen.slice(0, 2), ['someone', '/api/v1/namespaces/default/pods/p'])
  transport.close()
})

test('a server with an address of IPv6 is reached', async () => {
  const { certificate, key } = await issue('server')
  const six = createServer({ cert: certificate, key }, (_request, response) => {
    response.end(JSON.stringify(pod))
  })
  await new Promise<void>(resolve => six.listen(0, '::1', resolve))
  const transport = new HttpsTransport({
    server: `https://[::1]:${(six.address() as AddressInfo).port}`,
    caPem: ca.certificate,
    certificatePem: certificate,
    keyPem: key,
  })
  const found = await new KubeClient(transport).get(PODS, { namespace: 'default', name: 'p' })
  assert.equal(found.metadata.name, 'p')
  transport.close()
  await new Promise(resolve => six.close(resolve))
})

test('an error becomes a StatusError, and a token is sent as a bearer', async () => {
  const transport = new HttpsTransport({ server: url, caPem: ca.certificate, token: 'secret' })
  respond = (request, response) => {
    const isKnown = request.headers.authorization === 'Bearer secret'
    response.statusCode = isKnown ? 404 : 401
    response.end(JSON.stringify({ kind: 'Status', reason: isKnown ? 'NotFound' : 'Unauthorized', code: 404 }))
  }
  await assert.rejects(new KubeClient(transport).get(PODS, { namespace: 'x', name: 'p' }), isNotFound)
  transport.close()
})

test('a watch streams until it is aborted, and ending early closes the connection', async () => {
  const transport = new HttpsTransport({ server: url, caPem: ca.certificate })
  const closed = Promise.withResolvers<void>()
  respond = (request, response) => {
    request.socket.once('close', () => closed.resolve())
    response.write(`${JSON.stringify({ type: 'ADDED', object: pod })}\n`)
  }
  const { signal } = new AbortController()
  for await (const event of new KubeClient(transport).watch(PODS, { resourceVersion: '1', signal })) {
    assert.equal(event.object.metadata.name, 'p')
    break
  }
  await closed.promise
  transport.close()
})

test('no answer, or one from a stranger, is api/unreachable', async () => {
  const stranger = await issueAuthority('stranger', validity, systemRandom)
  for (const config of [
    { server: url, caPem: stranger.certificate },
    { server: 'https://127.0.0.1:1', caPem: ca.certificate },
  ]) {
    const transport = new HttpsTransport(config)
    await assert.rejects(transport.request({ method: 'GET', path: '/' }), { code: 'api/unreachable' })
    transport.close()
  }
})
