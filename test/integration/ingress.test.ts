/** The add-on `ingress` in a cluster: kubectl's Ingresses and Gateways, what they are told, and requests to pods. */
import assert from 'node:assert/strict'
import { request as httpRequest, type IncomingMessage } from 'node:http'
import { request as httpsRequest } from 'node:https'
import test, { after, before } from 'node:test'
import { installCluster, type TestCluster } from '../support/cluster.ts'
import { selfSigned } from '../support/ingress.ts'
import { until } from '../support/until.ts'

const HTTP = 18_080
const HTTPS = 18_443
const OWN = 18_090
let cluster: TestCluster

before(async () => {
  cluster = await installCluster()
})

after(() => cluster?.remove())

async function mustRun(...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await cluster.mk8s(args)
  assert.equal(code, 0, `${stdout}${stderr}`)
  return `${stdout}${stderr}`
}

const apply = (...objects: object[]) =>
  cluster.kubectl.ok(['apply', '-f', '-'], {
    input: objects.map(object => JSON.stringify(object)).join('\n---\n'),
  })

// biome-ignore lint/suspicious/noExplicitAny: whatever kubectl says
const json = async (...args: string[]) => (await cluster.kubectl.json(args)) as any

interface Got {
  readonly status: number
  readonly body: string
  readonly subject: string
}

function ask(host: string, path = '/', secure = false, own = 0): Promise<Got> {
  const port = own || (secure ? HTTPS : HTTP)
  const to = { host: cluster.address, port, path, agent: false, headers: { host } }
  const { promise, resolve, reject } = Promise.withResolvers<Got>()
  const take = async (response: IncomingMessage) => {
    const { socket } = response
    const subject =
      'getPeerCertificate' in socket ? String((socket as Secured).getPeerCertificate().subject.CN) : ''
    let body = ''
    for await (const chunk of response) body += chunk
    resolve({ status: response.statusCode ?? 0, body, subject })
  }
  const asked = secure
    ? httpsRequest({ ...to, servername: host, rejectUnauthorized: false }, take)
    : httpRequest(to, take)
  asked.on('error', reject)
  asked.end()
  return promise
}

type Secured = { getPeerCertificate(): { subject: { CN: string } } }

const program = `
  require('node:http').createServer((request, response) => response.end(process.env.POD_NAME + ' ' + request.url))
    .listen(8080, process.env.POD_IP)
  process.on('SIGTERM', () => process.exit(0))
`

const env = ['POD_IP', 'POD_NAME'].map(name => ({
  name,
  valueFrom: { fieldRef: { fieldPath: name === 'POD_IP' ? 'status.podIP' : 'metadata.name' } },
}))

const pod = {
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: 'web', labels: { app: 'web' } },
  spec: {
    terminationGracePeriodSeconds: 1,
    containers: [{ name: 'web', image: 'localhost/node', command: [process.execPath, '-e', program], env }],
  },
}
const service = {
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { name: 'web' },
  spec: { selector: { app: 'web' }, ports: [{ name: 'http', port: 80, targetPort: 8080 }] },
}
const backend = { service: { name: 'web', port: { number: 80 } } }
const ingress = {
  apiVersion: 'networking.k8s.io/v1',
  kind: 'Ingress',
  metadata: { name: 'web', annotations: { 'nginx.ingress.kubernetes.io/ssl-redirect': 'false' } },
  spec: {
    tls: [{ hosts: ['web.test'], secretName: 'web-tls' }],
    rules: [{ host: 'web.test', http: { paths: [{ path: '/a', pathType: 'Prefix', backend }] } }],
  },
}
const group = 'gateway.networking.k8s.io/v1'
const gateway = {
  ...{ apiVersion: group, kind: 'Gateway', metadata: { name: 'edge' } },
  spec: {
    gatewayClassName: 'mk8s',
    listeners: [{ name: 'http', port: 80, protocol: 'HTTP', hostname: '*.gw.test' }],
  },
}
const route = {
  ...{ apiVersion: group, kind: 'HTTPRoute', metadata: { name: 'web' } },
  spec: {
    parentRefs: [{ name: 'edge' }],
    hostnames: ['one.gw.test'],
    rules: [
      {
        matches: [{ path: { type: 'PathPrefix', value: '/old' } }],
        filters: [
          {
            type: 'URLRewrite',
            urlRewrite: { path: { type: 'ReplacePrefixMatch', replacePrefixMatch: '/new' } },
          },
        ],
        backendRefs: [{ name: 'web', port: 80 }],
      },
    ],
  },
}
const enable = ['enable', 'ingress', '--set', `http-port=${HTTP}`, '--set', `https-port=${HTTPS}`]
const condition = (conditions: { type: string; status: string; reason: string }[], type: string) => {
  const found = conditions?.find(one => one.type === type)
  return `${found?.status} ${found?.reason}`
}

test('an Ingress leads to its pods, and is told where it is served', async () => {
  assert.match(await mustRun(...enable), /enabled and ready/)
  assert.match(await mustRun(...enable), /already enabled/)
  await apply(pod, service, ingress)
  await until('the pod answers', async () => (await ask('web.test', '/a/b?c')).body === 'web /a/b?c')
  assert.equal((await ask('web.test', '/b')).status, 404)
  assert.equal((await ask('other.test', '/a')).status, 404)
  await until('the address is told', async () => {
    const { status } = await json('get', 'ingress', 'web')
    return status.loadBalancer?.ingress?.[0]?.ip === cluster.address
  })
})

test('nodes may read the certificates that Ingresses name, as they change, and no other Secret', async () => {
  const secret = async (name: string) => {
    const { certificate, key } = await selfSigned(name)
    return {
      ...{ apiVersion: 'v1', kind: 'Secret', metadata: { name: 'web-tls' }, type: 'kubernetes.io/tls' },
      stringData: { 'tls.crt': certificate, 'tls.key': key },
    }
  }
  assert.equal((await ask('web.test', '/a', true)).subject, 'mk8s ingress default certificate')
  await apply(await secret('first.test'))
  await until(
    'the certificate is shown',
    async () => (await ask('web.test', '/a', true)).subject === 'first.test',
  )
  await apply(await secret('second.test'))
  await until(
    'the next one is shown',
    async () => (await ask('web.test', '/a', true)).subject === 'second.test',
  )
  const role = await json('get', 'role', 'mk8s-ingress-certificates')
  assert.deepEqual(role.rules, [
    { apiGroups: [''], resources: ['secrets'], resourceNames: ['web-tls'], verbs: ['get'] },
  ])
})

test('a Gateway and its route are accepted, programmed and served', async () => {
  await apply(gateway, route)
  await until('the route answers', async () => (await ask('one.gw.test', '/old/x')).body === 'web /new/x')
  await until('the status is there', async () => {
    const { status } = await json('get', 'gateway', 'edge')
    return (
      condition(status?.conditions, 'Programmed') === 'True Programmed' &&
      status.listeners[0].attachedRoutes === 1
    )
  })
  const { status } = await json('get', 'httproute', 'web')
  assert.equal(condition(status.parents[0].conditions, 'Accepted'), 'True Accepted')
  assert.equal(condition(status.parents[0].conditions, 'ResolvedRefs'), 'True ResolvedRefs')
  const { status: ofClass } = await json('get', 'gatewayclass', 'mk8s')
  assert.equal(condition(ofClass.conditions, 'Accepted'), 'True Accepted')
})

test('a Gateway has a port of its own, calls of gRPC and other TLS have their routes, and each is told how it does', async () => {
  const common = { parentRefs: [{ name: 'own' }], hostnames: ['one.own.test'] }
  const rules = [{ backendRefs: [{ name: 'web', port: 80 }] }]
  await apply(
    {
      ...{ apiVersion: group, kind: 'Gateway', metadata: { name: 'own' } },
      spec: {
        gatewayClassName: 'mk8s',
        listeners: [
          { name: 'http', port: OWN, protocol: 'HTTP' },
          { name: 'tls', port: OWN + 1, protocol: 'TLS', tls: { mode: 'Passthrough' } },
          { name: 'low', port: 22, protocol: 'HTTP' },
        ],
      },
    },
    { ...{ apiVersion: group, kind: 'HTTPRoute', metadata: { name: 'own' } }, spec: { ...common, rules } },
    {
      ...{ apiVersion: group, kind: 'GRPCRoute', metadata: { name: 'own' } },
      spec: {
        ...{ ...common, hostnames: ['calls.own.test'] },
        rules: [{ matches: [{ method: { service: 'a.B' } }], ...rules[0] }],
      },
    },
    {
      ...{ apiVersion: 'gateway.networking.k8s.io/v1alpha2', kind: 'TLSRoute', metadata: { name: 'own' } },
      spec: { ...common, rules },
    },
  )
  await until('the port answers', () =>
    ask('one.own.test', '/x', false, OWN).then(
      ({ body }) => body === 'web /x',
      () => false,
    ),
  )
  assert.equal((await ask('one.own.test', '/x')).status, 404)
  const listeners = async () => (await json('get', 'gateway', 'own')).status?.listeners ?? []
  await until('all is told', async () => (await listeners())[1]?.attachedRoutes === 1)
  const [http, tls, low] = await listeners()
  assert.deepEqual([http.attachedRoutes, condition(http.conditions, 'Programmed')], [2, 'True Programmed'])
  assert.deepEqual(tls.supportedKinds, [{ group: 'gateway.networking.k8s.io', kind: 'TLSRoute' }])
  assert.equal(condition(low.conditions, 'Accepted'), 'False PortUnavailable')
  for (const kind of ['grpcroute', 'tlsroute']) {
    const { status } = await json('get', kind, 'own')
    assert.equal(condition(status.parents[0].conditions, 'Accepted'), 'True Accepted')
  }
  const { status } = await json('get', 'addon', 'ingress')
  assert.equal(status.corrections, undefined)
})

test('a disabled add-on serves nothing, and takes back what nodes were allowed', async () => {
  assert.match(await mustRun('disable', 'ingress'), /is disabled/)
  await until('the port is closed', () =>
    ask('web.test', '/a').then(
      () => false,
      () => true,
    ),
  )
  await until('the rights are gone', async () => {
    return (await cluster.kubectl.try(['get', 'role', 'mk8s-ingress-certificates'])).code !== 0
  })
  assert.match(await mustRun('disable', 'ingress'), /already disabled/)
  assert.equal((await cluster.kubectl.try(['get', 'gateway', 'edge'])).code, 0)
})
