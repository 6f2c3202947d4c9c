/** Tables of routes: which backend a request takes. */
import assert from 'node:assert/strict'
import test from 'node:test'
import type { KubeObject } from '../../../../src/kube/object.ts'
import type { Node } from '../../../../src/kube/types.ts'
import { attachRoutes } from '../../../../src/runtime/ingress/attach-routes.ts'
import { rewritePath } from '../../../../src/runtime/ingress/path-changes.ts'
import { parseProxyHeader } from '../../../../src/runtime/ingress/proxy-protocol.ts'
import { normalizeTarget } from '../../../../src/runtime/ingress/request-path.ts'
import {
  type Asked,
  backendsFor,
  compileRouting,
  matchRoute,
  mayAsk,
  ownDoors,
} from '../../../../src/runtime/ingress/routing-table.ts'
import {
  nodeAddresses,
  renderGatewayStatus,
  renderRouteStatus,
} from '../../../../src/runtime/ingress/status.ts'
import { EMPTY_WORLD, type World } from '../../../../src/runtime/ingress/world.ts'
import { changesOf, ingress, ingressClass, SETTINGS, service } from '../../../support/ingress.ts'

function worldOf(objects: readonly KubeObject[]): World {
  const world = structuredClone(EMPTY_WORLD) as unknown as Record<string, KubeObject[]>
  for (const [kind, , object] of changesOf(objects)) if (object) world[kind]?.push(object)
  return world as unknown as World
}

const services = ['a', 'b', 'c', 'd'].flatMap(name => service(name, ['10.1.0.7:8080']))
const tableOf = (...objects: KubeObject[]) =>
  compileRouting(worldOf([ingressClass(), ...services, ...objects]), SETTINGS)

function asked(
  host: string,
  path: string,
  more: Partial<Asked> & { headers?: Record<string, string> } = {},
): Asked {
  const { headers = {}, ...rest } = more
  return {
    door: rest.scheme ?? 'http',
    scheme: 'http',
    host,
    path,
    query: '',
    method: 'GET',
    header: name => headers[name],
    ...rest,
  }
}

type Table = ReturnType<typeof compileRouting>

/** The name of the Service, or nothing. */
function taken(table: Table, request: Asked, chance = 0.99): string {
  const route = matchRoute(table, request)
  if (route === null) return ''
  return backendsFor(route, request, chance)[0]?.pool.split(/[/:]/)[1] ?? 'none'
}

test('paths: exact before prefix, the longest prefix first, whole elements only', () => {
  const table = tableOf(
    ingress('one', [
      { host: 'x.test', path: '/', service: 'a' },
      { host: 'x.test', path: '/foo', service: 'b' },
      { host: 'x.test', path: '/foo', type: 'Exact', service: 'c' },
      { host: 'x.test', path: '/foo/bar/', service: 'd' },
    ]),
  )
  const cases: Record<string, string> = {
    ...{ '/': 'a', '/other': 'a', '/foo': 'c', '/foo/': 'b', '/foo/x': 'b', '/foobar': 'a' },
    ...{ '/foo/bar': 'd', '/foo/bar/x': 'd', '/foo/barx': 'b', '/FOO': 'a' },
  }
  for (const [path, wanted] of Object.entries(cases))
    assert.equal(taken(table, asked('x.test', path)), wanted, path)
})

test('hosts: exact before wildcard before none, a wildcard is one label, and the best host alone decides', () => {
  const table = tableOf(
    ingress('one', [
      { host: 'www.x.test', path: '/only', service: 'a' },
      { host: '*.x.test', service: 'b' },
      { path: '/all', service: 'c' },
    ]),
  )
  const take = (host: string, path: string) => taken(table, asked(host, path))
  assert.equal(take('www.x.test', '/only'), 'a')
  assert.equal(take('www.x.test', '/all'), '')
  assert.equal(take('other.x.test', '/only'), 'b')
  assert.equal(take('deep.other.x.test', '/all'), 'c')
  assert.equal(take('x.test', '/all'), 'c')
  assert.equal(take('x.test', '/'), '')
})

test('default backends take what no path takes, their own hosts first', () => {
  const backend = (name: string) => ({ defaultBackend: { service: { name, port: { number: 80 } } } })
  const table = tableOf(
    ingress('own', [{ host: 'x.test', path: '/a', service: 'a' }], { spec: backend('b') }),
    ingress('all', [], { spec: backend('c') }),
  )
  assert.equal(taken(table, asked('x.test', '/a')), 'a')
  assert.equal(taken(table, asked('x.test', '/z')), 'b')
  assert.equal(taken(table, asked('y.test', '/z')), 'c')
})

test('classes: ours by controller, the default one for Ingresses without a class, the oldest owner of a path', () => {
  const foreign: KubeObject = { ...ingressClass('foreign', false), spec: { controller: 'example.com/other' } }
  const path = [{ host: 'x.test', service: 'a' }]
  const world = (isDefault: boolean, ...more: KubeObject[]) =>
    compileRouting(worldOf([ingressClass('public', isDefault), foreign, ...services, ...more]), SETTINGS)
  const request = asked('x.test', '/')
  assert.equal(taken(world(true, ingress('one', path)), request), 'a')
  assert.equal(taken(world(false, ingress('one', path)), request), '')
  assert.equal(
    taken(world(false, ingress('one', path, { spec: { ingressClassName: 'public' } })), request),
    'a',
  )
  assert.equal(
    taken(world(true, ingress('one', path, { spec: { ingressClassName: 'foreign' } })), request),
    '',
  )
  const named = { annotations: { 'kubernetes.io/ingress.class': 'public' } }
  assert.equal(taken(world(false, ingress('one', path, named)), request), 'a')
  const older = ingress('two', [{ host: 'x.test', service: 'b' }], { created: '2025-01-01T00:00:00Z' })
  assert.equal(taken(world(true, ingress('one', path), older), request), 'b')
})

test('canaries: the header decides before the cookie, and the cookie before the weight', () => {
  const name = (key: string) => `nginx.ingress.kubernetes.io/${key}`
  const canary = ingress('canary', [{ host: 'x.test', service: 'b' }], {
    annotations: {
      [name('canary')]: 'true',
      [name('canary-by-header')]: 'X-Canary',
      [name('canary-by-cookie')]: 'canary',
      'ingress.mk8s.io/canary-weight': '30',
    },
  })
  const table = tableOf(canary, ingress('main', [{ host: 'x.test', service: 'a' }]))
  const take = (headers: Record<string, string>, chance: number) =>
    taken(table, asked('x.test', '/', { headers }), chance)
  assert.equal(take({}, 0.29), 'b')
  assert.equal(take({}, 0.31), 'a')
  assert.equal(take({ 'x-canary': 'always' }, 0.9), 'b')
  assert.equal(take({ 'x-canary': 'never', cookie: 'canary=always' }, 0.1), 'a')
  assert.equal(take({ 'x-canary': 'maybe', cookie: 'a=1; canary=always' }, 0.9), 'b')
  assert.equal(take({ cookie: 'canary=never' }, 0.1), 'a')
  const alone = tableOf(canary)
  assert.equal(taken(alone, asked('x.test', '/')), '')
})

test('annotations: rewriting with groups, networks that may ask, redirects to HTTPS', () => {
  const table = tableOf(
    ingress(
      'one',
      [{ host: 'x.test', path: '/api(/|$)(.*)', type: 'ImplementationSpecific', service: 'a' }],
      {
        annotations: {
          'nginx.ingress.kubernetes.io/rewrite-target': '/$2',
          'nginx.ingress.kubernetes.io/whitelist-source-range': '10.0.0.0/8, 192.0.2.7',
        },
      },
    ),
    ingress('tls', [{ host: 'y.test', service: 'b' }], { spec: { tls: [{ hosts: ['y.test'] }] } }),
    ingress('bad', [{ host: 'z.test', service: 'b' }], {
      annotations: { 'nginx.ingress.kubernetes.io/whitelist-source-range': 'nonsense' },
    }),
  )
  const route = matchRoute(table, asked('x.test', '/api/v1/x'))
  assert.ok(route)
  assert.equal(rewritePath(route.rewrite, { path: '/api/v1/x', query: '?q' }), '/v1/x?q')
  assert.equal(rewritePath(route.rewrite, { path: '/api', query: '' }), '/')
  assert.equal(matchRoute(table, asked('x.test', '/apix')), null)
  assert.deepEqual(
    ['10.9.8.7', '192.0.2.7', '192.0.2.8'].map(one => mayAsk(route, one)),
    [true, true, false],
  )
  assert.equal(matchRoute(table, asked('y.test', '/'))?.redirectsToHttps, true)
  const bad = matchRoute(table, asked('z.test', '/'))
  assert.equal(bad && mayAsk(bad, '10.0.0.1'), false)
})

test('endpoints: ready ones, else those that still serve, never on loopback or link-local addresses', () => {
  const slice = (addresses: Record<string, object>) => ({
    ...(service('a', ['10.1.0.7:8080'])[1] as KubeObject),
    endpoints: Object.entries(addresses).map(([address, conditions]) => ({
      addresses: [address],
      conditions,
    })),
  })
  const pool = (addresses: Record<string, object>) => {
    const objects = [ingressClass(), service('a', [])[0] as KubeObject, slice(addresses)]
    const world = worldOf([...objects, ingress('one', [{ service: 'a' }])])
    return compileRouting(world, { ...SETTINGS, loopbackPods: '' })
      .pools.get('default/a:web')
      ?.map(one => one.address)
  }
  const ending = { ready: false, serving: true, terminating: true }
  assert.deepEqual(pool({ '10.1.0.1': { ready: true }, '10.1.0.2': ending }), ['10.1.0.1'])
  assert.deepEqual(pool({ '10.1.0.1': { ready: false }, '10.1.0.2': ending }), ['10.1.0.2'])
  assert.deepEqual(pool({ '127.0.0.1': { ready: true }, '169.254.169.254': { ready: true } }), [])
})

const GROUP = 'gateway.networking.k8s.io/v1'
const gatewayClass: KubeObject = {
  ...{ apiVersion: GROUP, kind: 'GatewayClass', metadata: { name: 'mk8s' } },
  spec: { controllerName: 'mk8s.io/gateway' },
}
const gateway = (...listeners: object[]): KubeObject => ({
  ...{ apiVersion: GROUP, kind: 'Gateway', metadata: { name: 'edge', namespace: 'default' } },
  spec: { gatewayClassName: 'mk8s', listeners },
})
const http = (more: object = {}) => ({ name: 'http', port: 80, protocol: 'HTTP', ...more })
const httpRoute = (
  name: string,
  rules: object[],
  more: { spec?: object; namespace?: string } = {},
): KubeObject => ({
  ...{ apiVersion: GROUP, kind: 'HTTPRoute' },
  metadata: { name, namespace: more.namespace ?? 'default', creationTimestamp: '2026-01-01T00:00:00Z' },
  spec: { parentRefs: [{ name: 'edge', namespace: 'default' }], rules, ...more.spec },
})
const to = (name: string, more: object = {}) => ({ backendRefs: [{ name, port: 80, ...more }] })

test('HTTPRoutes: path, then method, then headers, then query; the most specific hostname first', () => {
  const prefix = { type: 'PathPrefix', value: '/p' }
  const table = tableOf(
    gatewayClass,
    gateway(http()),
    httpRoute(
      'one',
      [
        { matches: [{ path: prefix }], ...to('a') },
        { matches: [{ path: prefix, headers: [{ name: 'X-V', value: '2' }] }], ...to('b') },
        { matches: [{ path: prefix, method: 'POST' }], ...to('c') },
        {
          matches: [{ path: { type: 'Exact', value: '/p' }, queryParams: [{ name: 'q', value: '1' }] }],
          ...to('d'),
        },
      ],
      { spec: { hostnames: ['x.test'] } },
    ),
    httpRoute('all', [to('d')], { spec: { hostnames: ['*.test'] } }),
  )
  const headers = { 'x-v': '2' }
  assert.equal(taken(table, asked('x.test', '/p')), 'a')
  assert.equal(taken(table, asked('x.test', '/p', { headers })), 'b')
  assert.equal(taken(table, asked('x.test', '/p', { headers, method: 'POST' })), 'c')
  assert.equal(taken(table, asked('x.test', '/p', { query: '?q=1', method: 'POST' })), 'd')
  assert.equal(taken(table, asked('x.test', '/other')), 'd')
  assert.equal(taken(table, asked('deep.y.test', '/')), 'd')
  assert.equal(taken(table, asked('x.example', '/')), '')
  assert.equal(matchRoute(table, asked('x.test', '/p', { scheme: 'https' })), null)
})

test('GRPCRoutes: by service and method, exact before expressions, headers last', () => {
  const call = (method: object, name: string, headers: object[] = []) => ({
    matches: [{ method, headers }],
    ...to(name),
  })
  const route: KubeObject = {
    ...httpRoute('calls', []),
    kind: 'GRPCRoute',
    spec: {
      parentRefs: [{ name: 'edge' }],
      hostnames: ['x.test'],
      rules: [
        call({ service: 'shop.Cart' }, 'a'),
        call({ service: 'shop.Cart', method: 'Add' }, 'b'),
        call({ service: 'shop.Cart', method: 'Add' }, 'c', [{ name: 'x-v', value: '2' }]),
        call({ type: 'RegularExpression', service: 'shop\\.[A-Z]+' }, 'd'),
        call({ method: 'Ping' }, 'd'),
      ],
    },
  }
  const table = tableOf(gatewayClass, gateway(http()), route)
  const cases: Record<string, string> = {
    ...{ '/shop.Cart/Add': 'b', '/shop.Cart/Remove': 'a', '/shop.CartX/Add': '', '/any.Thing/Ping': 'd' },
    ...{ '/any.Thing/PING': '', '/shop.CART/Add': 'd', '/shop.cart/Add': '' },
  }
  for (const [path, wanted] of Object.entries(cases))
    assert.equal(taken(table, asked('x.test', path, { method: 'POST' })), wanted, path)
  const second = asked('x.test', '/shop.Cart/Add', { headers: { 'x-v': '2' } })
  assert.equal(taken(table, second), 'c')
  assert.equal(matchRoute(table, second)?.backends[0]?.protocol, 'h2c')
})

test('a port of a Gateway’s own has its routes and nothing else', () => {
  const table = tableOf(
    gatewayClass,
    gateway(http(), http({ name: 'own', port: 9000 })),
    httpRoute('both', [to('a')], { spec: { hostnames: ['x.test'] } }),
    httpRoute('one', [to('b')], {
      spec: { parentRefs: [{ name: 'edge', sectionName: 'own' }], hostnames: ['y.test'] },
    }),
    ingress('web', [{ host: 'z.test', service: 'c' }]),
  )
  const take = (host: string, door: string) => taken(table, asked(host, '/', { door }))
  assert.deepEqual([take('x.test', 'http'), take('y.test', 'http'), take('z.test', 'http')], ['a', '', 'c'])
  assert.deepEqual([take('x.test', '9000'), take('y.test', '9000'), take('z.test', '9000')], ['a', 'b', ''])
  assert.deepEqual(ownDoors(table), [{ key: '9000', port: 9000, isSecure: false }])
})

test('an ExternalName leads outside by Ingresses, or to the Service that it means, and not by Gateways', () => {
  const outside = (name: string, externalName: string, ports?: object[]): KubeObject => ({
    ...{ apiVersion: 'v1', kind: 'Service', metadata: { name, namespace: 'default' } },
    spec: { type: 'ExternalName', externalName, ...(ports && { ports }) },
  })
  const table = tableOf(
    outside('out', 'www.Example.org.'),
    outside('ports', 'www.example.org', [{ name: 'web', port: 80, targetPort: 8080 }]),
    outside('inner', 'a.default.svc.cluster.local'),
    ingress('web', [
      ...[
        { host: 'out.test', service: 'out' },
        { host: 'ports.test', service: 'ports' },
      ],
      { host: 'inner.test', service: 'inner' },
    ]),
    ...[gatewayClass, gateway(http()), httpRoute('r', [to('out')], { spec: { hostnames: ['gw.test'] } })],
  )
  const pool = (host: string) => {
    const [backend] = matchRoute(table, asked(host, '/'))?.backends ?? []
    return table.pools.get(backend?.pool ?? '')?.map(({ address, port }) => `${address}:${port}`)
  }
  assert.deepEqual(pool('out.test'), ['www.example.org:80'])
  assert.deepEqual(pool('ports.test'), ['www.example.org:8080'])
  assert.deepEqual(pool('inner.test'), ['10.1.0.7:8080'])
  assert.equal(pool('gw.test'), undefined)
})

test('a route attaches only where a listener allows it, and is told why not', () => {
  const verdict = (listener: object, route: KubeObject, ...more: KubeObject[]) => {
    const world = worldOf([gatewayClass, gateway(listener), route, ...services, ...more])
    const { routes } = attachRoutes(world, SETTINGS)
    const facts = {
      ...{ addresses: ['192.0.2.1'], now: '2026-01-01T00:00:00Z' },
      ...{ certificates: new Set<string>(), closedPorts: new Map() },
    }
    const [own] = renderRouteStatus(routes[0] ?? assert.fail('no route'), facts).parents as unknown as {
      conditions: { type: string; reason: string }[]
    }[]
    return own?.conditions.map(({ reason }) => reason)
  }
  const other = { namespace: 'other' }
  assert.deepEqual(verdict(http(), httpRoute('r', [to('a')])), ['Accepted', 'ResolvedRefs'])
  assert.deepEqual(verdict(http(), httpRoute('r', [to('none')])), ['Accepted', 'BackendNotFound'])
  assert.deepEqual(verdict(http(), httpRoute('r', [to('a', { kind: 'Thing' })])), ['Accepted', 'InvalidKind'])
  const cross = httpRoute('r', [to('a', { namespace: 'default' })], other)
  assert.deepEqual(verdict(http(), cross), ['NotAllowedByListeners', 'RefNotPermitted'])
  const grant: KubeObject = {
    ...{ apiVersion: GROUP, kind: 'ReferenceGrant', metadata: { name: 'g', namespace: 'default' } },
    spec: {
      from: [{ group: 'gateway.networking.k8s.io', kind: 'HTTPRoute', namespace: 'other' }],
      to: [{ group: '', kind: 'Service' }],
    },
  }
  const open = http({ allowedRoutes: { namespaces: { from: 'All' } } })
  assert.deepEqual(verdict(open, cross, grant), ['Accepted', 'ResolvedRefs'])
  const named = httpRoute('r', [to('a')], { spec: { hostnames: ['y.test'] } })
  assert.deepEqual(verdict(http({ hostname: 'x.test' }), named), [
    'NoMatchingListenerHostname',
    'ResolvedRefs',
  ])
  const section = httpRoute('r', [to('a')], { spec: { parentRefs: [{ name: 'edge', sectionName: 'none' }] } })
  assert.deepEqual(verdict(http(), section), ['NoMatchingParent', 'ResolvedRefs'])
})

test('of an HTTPRoute and a GRPCRoute for one name, a listener serves the older one', () => {
  const created = (route: KubeObject, kind: string, at: string, hostnames: string[]): KubeObject => ({
    ...route,
    kind,
    metadata: { ...route.metadata, creationTimestamp: at },
    spec: { ...(route['spec'] as object), hostnames },
  })
  const first = created(httpRoute('web', [to('a')]), 'HTTPRoute', '2026-01-01T00:00:00Z', ['x.test'])
  const second = created(httpRoute('calls', [to('b')]), 'GRPCRoute', '2026-01-02T00:00:00Z', ['*.test'])
  const third = created(httpRoute('more', [to('c')]), 'HTTPRoute', '2026-01-03T00:00:00Z', ['x.test'])
  const verdicts = (...listeners: object[]) => {
    const objects = [gatewayClass, gateway(...listeners), third, second, first, ...services]
    const { gateways, routes } = attachRoutes(worldOf(objects), SETTINGS)
    const told = routes.map(({ route, parents }) => [route.metadata.name, parents[0]?.accepted.reason])
    return { told, attached: gateways[0]?.listeners.map(({ attached }) => attached) }
  }
  const [web, more] = [
    ['web', 'Accepted'],
    ['more', 'Accepted'],
  ]
  assert.deepEqual(verdicts(http()), { told: [web, ['calls', 'HostnameConflict'], more], attached: [2] })
  // At a listener without the other's name it is served.
  const listeners = [http({ hostname: 'x.test' }), http({ name: 'other', hostname: 'y.test' })]
  assert.deepEqual(verdicts(...listeners), { told: [web, ['calls', 'Accepted'], more], attached: [2, 1] })
})

test('routes are served at the addresses of nodes that serve and are there', () => {
  const node = (name: string, ready: string, addresses: Record<string, string>) =>
    ({
      metadata: { name },
      status: {
        conditions: [{ type: 'Ready', status: ready }],
        addresses: Object.entries(addresses).map(([type, address]) => ({ type, address })),
      },
    }) as Node
  const nodes = [
    node('n1', 'True', { InternalIP: '10.0.0.1' }),
    node('n2', 'True', { InternalIP: '10.0.0.2', ExternalIP: '192.0.2.2' }),
    node('lost', 'Unknown', { InternalIP: '10.0.0.3' }),
    node('other', 'True', { InternalIP: '10.0.0.4' }),
  ]
  assert.deepEqual(nodeAddresses(nodes, new Set(['n1', 'n2', 'lost'])), ['10.0.0.1', '192.0.2.2'])
})

test('a listener says what keeps it from being served', () => {
  const conditions = (...listeners: object[]) => {
    const { gateways } = attachRoutes(worldOf([gatewayClass, gateway(...listeners)]), SETTINGS)
    const facts = {
      addresses: ['192.0.2.1'],
      certificates: new Set(['default/good']),
      closedPorts: new Map([['9001', 'port 9001 on node n1 is taken by another program']]),
      now: '2026-01-01T00:00:00Z',
    }
    const status = renderGatewayStatus(gateways[0] ?? assert.fail('no gateway'), facts)
    return status.listeners.map(({ conditions: all }) =>
      all
        .filter(({ status: is, type }) => (is === 'True') === (type === 'Conflicted'))
        .map(({ reason }) => reason),
    )
  }
  const https = (name: string) => ({
    name: 's',
    port: 443,
    protocol: 'HTTPS',
    tls: { certificateRefs: [{ name }] },
  })
  assert.deepEqual(conditions(http(), https('good')), [[], []])
  assert.deepEqual(conditions(https('missing')), [['Invalid', 'InvalidCertificateRef']])
  assert.deepEqual(conditions(http({ port: 8081 })), [[]])
  assert.deepEqual(conditions(http({ port: 9001 })), [['PortUnavailable']])
  for (const port of [443, 900, 10_250])
    assert.deepEqual(conditions(http({ port })), [['PortUnavailable', 'Invalid']], String(port))
  // Names tell HTTPS from other TLS, nothing tells HTTP.
  const tls = { name: 't', port: 8443, protocol: 'TLS', hostname: 'x.test', tls: { mode: 'Passthrough' } }
  assert.deepEqual(conditions(tls, { ...https('good'), port: 8443 }), [[], []])
  const mixed = ['ProtocolConflict', 'ProtocolConflict', 'Invalid']
  assert.deepEqual(conditions(tls, http({ port: 8443 })), [mixed, mixed])
  assert.deepEqual(conditions(http({ protocol: 'TCP' })), [['UnsupportedProtocol', 'Invalid']])
  const clash = ['HostnameConflict', 'HostnameConflict', 'Invalid']
  assert.deepEqual(conditions(http(), http({ name: 'again' })), [clash, clash])
})

test('a path is matched in the form in which it is sent on', () => {
  const cases: Record<string, string | null> = {
    ...{ '/a/../b': '/b', '//a///b/': '/a/b/', '/%61%2f': '/a%2F', '/a/.': '/a/', '/': '/', '/..': null },
    ...{ '/a/%2e%2E/b': '/b', '/%': null, '/a b': null, '*': null },
  }
  for (const [path, wanted] of Object.entries(cases))
    assert.equal(normalizeTarget(path)?.path ?? null, wanted, path)
})

test('headers of the PROXY protocol are read in both versions', () => {
  const text = Buffer.from('PROXY TCP4 192.0.2.7 10.0.0.1 4000 80\r\nGET')
  assert.deepEqual(parseProxyHeader(text), { address: '192.0.2.7', bytes: text.length - 3 })
  assert.equal(parseProxyHeader(text.subarray(0, 20)), 'more')
  assert.equal(parseProxyHeader(Buffer.from('GET / HTTP/1.1\r\n')), 'bad')
  const binary = Buffer.concat([
    Buffer.from('0d0a0d0a000d0a515549540a2111000c', 'hex'),
    Buffer.from([192, 0, 2, 7, 10, 0, 0, 1, 0, 80, 0, 80]),
  ])
  assert.deepEqual(parseProxyHeader(binary), { address: '192.0.2.7', bytes: 28 })
})
