/** The proxies to pods, services and nodes, with a pod that says what it was asked. */
import assert from 'node:assert/strict'
import test, { after, before, describe } from 'node:test'
import { WebSocket } from 'ws'
import { type Api, apiFor, credentialsOf } from '../support/api.ts'
import { installCluster, type TestCluster } from '../support/cluster.ts'

const PORT = 8080
const echo = `
  const { createServer } = require('node:http')
  const { createHash } = require('node:crypto')
  const server = createServer((request, response) => {
    if (request.url === '/moved') return response.writeHead(302, { location: '/there?x=1' }).end()
    let body = ''
    request.on('data', piece => (body += piece)).on('end', () => {
      const { method, url, headers } = request
      response.end(JSON.stringify({ pod: process.env.POD_NAME, method, url, headers, body }))
    })
  })
  server.on('upgrade', (request, socket) => {
    const accept = createHash('sha1').update(request.headers['sec-websocket-key'] + '258EAFA5-E914-47DA-95CA-C5AB0DC85B11').digest('base64')
    socket.write('HTTP/1.1 101 Switching Protocols\\r\\nconnection: Upgrade\\r\\nupgrade: websocket\\r\\nsec-websocket-accept: ' + accept + '\\r\\n\\r\\n')
    socket.write(Buffer.concat([Buffer.from([0x81, 5]), Buffer.from('hello')]))
    socket.on('error', () => {})
  })
  server.listen(${PORT}, process.env.POD_IP)
  process.on('SIGTERM', () => process.exit(0))
`

const pod = {
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: 'agnhost', labels: { app: 'agnhost' } },
  spec: {
    containers: [
      {
        name: 'echo',
        image: 'localhost/node',
        command: [process.execPath, '-e', echo],
        ports: [{ name: 'http', containerPort: PORT }],
        env: ['POD_IP', 'POD_NAME'].map(name => ({
          name,
          valueFrom: { fieldRef: { fieldPath: name === 'POD_IP' ? 'status.podIP' : 'metadata.name' } },
        })),
        readinessProbe: { httpGet: { path: '/', port: 'http' }, periodSeconds: 1 },
      },
    ],
  },
}

const service = {
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { name: 'echo' },
  spec: {
    selector: { app: 'agnhost' },
    ports: [
      { name: 'web', port: 80, targetPort: 'http' },
      { name: 'other', port: 81, targetPort: PORT },
    ],
  },
}

interface Echo {
  readonly pod: string
  readonly method: string
  readonly url: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}

const PODS = '/api/v1/namespaces/default/pods'
const SERVICES = '/api/v1/namespaces/default/services'
const said = (text: string) => JSON.parse(text) as Echo

describe('proxies', () => {
  let cluster: TestCluster
  let api: Api
  before(async () => {
    cluster = await installCluster()
    api = apiFor(cluster.kubeconfig)
    await cluster.kubectl.ok(['create', '-f', '-'], {
      input: `${JSON.stringify(pod)}\n---\n${JSON.stringify(service)}`,
    })
    await cluster.kubectl.ok(['wait', '--for=condition=Ready', 'pod/agnhost', '--timeout=60s'])
    await cluster.kubectl.ok([
      ...['wait', '--for=jsonpath={.endpoints[0].conditions.ready}=true', '--timeout=60s'],
      ...['endpointslices', '-l', 'kubernetes.io/service-name=echo'],
    ])
  })
  after(() => cluster.remove())

  test('Proxy version v1 should proxy through a service and a pod', async () => {
    const places = [
      `${PODS}/agnhost`,
      `${PODS}/agnhost:${PORT}`,
      `${PODS}/http:agnhost:${PORT}`,
      `${SERVICES}/echo:web`,
      `${SERVICES}/echo:81`,
      `${SERVICES}/http:echo:other`,
    ]
    for (const place of places) {
      const { status, text } = await api(`${place}/proxy/some/path%2Fwith?query=a%20b`)
      assert.equal(status, 200, `${place}: ${text}`)
      assert.equal(said(text).pod, 'agnhost')
      assert.match(said(text).url, /^\/some\/path%2Fwith\?query=a(\+|%20)b$/)
    }
  })

  test('Proxy version v1 A set of valid responses are returned for both pod and service ProxyWithPath', async () => {
    for (const place of [`${PODS}/agnhost`, `${SERVICES}/echo:web`]) {
      for (const method of ['DELETE', 'GET', 'OPTIONS', 'PATCH', 'POST', 'PUT']) {
        const body = method === 'GET' ? '' : 'a body'
        const { status, text } = await api(`${place}/proxy/some/path?method=${method}`, {
          method,
          ...(body && { body }),
        })
        assert.equal(status, 200, text)
        assert.equal(said(text).method, method)
        assert.equal(said(text).body, body)
      }
      const head = await api(`${place}/proxy/some/path`, { method: 'HEAD' })
      assert.equal(head.status, 200)
      assert.equal(head.text, '')
    }
  })

  test('Proxy version v1 A set of valid responses are returned for both pod and service Proxy', async () => {
    for (const place of [`${PODS}/agnhost`, `${SERVICES}/echo:web`]) {
      for (const method of ['DELETE', 'OPTIONS', 'PATCH', 'POST', 'PUT']) {
        const { status, text } = await api(`${place}/proxy?method=${method}`, { method })
        assert.equal(status, 200, text)
        assert.equal(said(text).method, method)
      }
      for (const method of ['GET', 'HEAD']) {
        const { status, headers } = await api(`${place}/proxy?method=${method}`, { method })
        assert.equal(status, 301)
        assert.equal(headers['location'], `${place}/proxy/?method=${method}`)
      }
    }
  })

  test('what is proxied hears nothing of the credentials, and its redirects lead through the proxy', async () => {
    const token = (await cluster.kubectl.ok(['create', 'token', 'default'])).trim()
    const refused = await api(`${PODS}/agnhost/proxy/`, { token })
    assert.equal(refused.status, 403)
    await cluster.kubectl.ok([
      ...['create', 'role', 'proxy', '--verb=get', '--resource=pods/proxy', '--resource-name=agnhost'],
    ])
    await cluster.kubectl.ok([
      'create',
      'rolebinding',
      'proxy',
      '--role=proxy',
      '--serviceaccount=default:default',
    ])
    const { text } = await api(`${PODS}/agnhost/proxy/`, { token })
    assert.equal(said(text).headers['authorization'], undefined)
    const moved = await api(`${SERVICES}/echo:web/proxy/moved`)
    assert.equal(moved.headers['location'], `${SERVICES}/echo:web/proxy/there?x=1`)
  })

  test('websockets go through', async () => {
    const { server, ca, cert, key } = credentialsOf(cluster.kubeconfig)
    const socket = new WebSocket(`${server.replace('https:', 'wss:')}${PODS}/agnhost/proxy/socket`, {
      ca,
      cert,
      key,
    })
    const message = await new Promise((resolve, reject) => {
      socket.on('message', data => resolve(String(data)))
      socket.on('error', reject)
    })
    assert.equal(message, 'hello')
    socket.terminate()
  })

  test('the kubelet is reached through its node, and loopback is not', async () => {
    assert.equal((await api('/api/v1/nodes/node-1/proxy/healthz')).text, 'ok')
    assert.equal((await api('/api/v1/nodes/node-1:10250/proxy/healthz')).text, 'ok')
    const refused = await api('/api/v1/nodes/node-1:22/proxy/')
    assert.equal(refused.body.message, 'address not allowed')
    const inward = { ...service, metadata: { name: 'inward' }, spec: { ports: [{ name: 'web', port: 80 }] } }
    await cluster.kubectl.ok(['create', '-f', '-'], { input: JSON.stringify(inward) })
  })

  test('what cannot be reached is said as upstream says it', async () => {
    const messageOf = async (path: string) => (await api(path)).body.message ?? ''
    assert.match(
      await messageOf(`${PODS}/agnhost:9/proxy/`),
      /^error trying to reach service: .*ECONNREFUSED/,
    )
    assert.equal(await messageOf(`${PODS}/none/proxy/`), 'pods "none" not found')
    assert.equal(await messageOf(`${PODS}/ftp:agnhost:1/proxy/`), 'invalid pod request "ftp:agnhost:1"')
    assert.equal(
      await messageOf(`${SERVICES}/echo:none/proxy/`),
      'no service port "none" found for service "echo"',
    )
    assert.equal(
      await messageOf(`${SERVICES}/inward:web/proxy/`),
      'no endpoints available for service "inward:web"',
    )
  })
})
