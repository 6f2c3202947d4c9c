/** A router on loopback with backends of its own, and the objects that lead to them. */
import { once } from 'node:events'
import { createServer, type RequestListener, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { systemClock } from '../../src/base/clock.ts'
import type { Log } from '../../src/base/log.ts'
import { systemRandom } from '../../src/base/random.ts'
import type { KubeObject } from '../../src/kube/object.ts'
import type { ClosedPorts } from '../../src/runtime/ingress/doors.ts'
import { IngressRouter } from '../../src/runtime/ingress/ingress.ts'
import type { Change } from '../../src/runtime/ingress/messages.ts'
import type { Certificate, IngressSettings } from '../../src/runtime/ingress/world.ts'
import { issueSelfSigned } from '../../src/runtime/pki/issue.ts'
import { validityFrom } from '../../src/runtime/pki/validity.ts'

export const SETTINGS: IngressSettings = {
  ...{ httpPort: 80, httpsPort: 443, defaultCertificate: '', bodyBytesMax: 0, trustedProxies: '' },
  ...{ proxyProtocol: false, accessLog: false, loopbackPods: '127.0.0.0/8' },
  ...{ gatewayPorts: '1024-65535', clusterDomain: 'cluster.local' },
}

const quiet: Log = { debug() {}, info() {}, warn() {}, error() {}, child: () => quiet }

export const selfSigned = (...dnsNames: string[]): Promise<Certificate> =>
  issueSelfSigned({ commonName: dnsNames[0] ?? '', dnsNames }, validityFrom(Date.now(), 1), systemRandom)

export interface TestRouter {
  readonly http: number
  readonly https: number
  readonly router: IngressRouter
  change(...objects: KubeObject[]): void
  close(): Promise<void>
}

const KINDS: Readonly<Record<string, Change[0]>> = {
  ...{ Ingress: 'ingresses', IngressClass: 'ingressClasses', Service: 'services', EndpointSlice: 'slices' },
  ...{ GatewayClass: 'gatewayClasses', Gateway: 'gateways', HTTPRoute: 'routes', ReferenceGrant: 'grants' },
  ...{ GRPCRoute: 'grpcRoutes', TLSRoute: 'tlsRoutes' },
}

export const changesOf = (objects: readonly KubeObject[]): Change[] =>
  objects.map(object => {
    const { namespace = '', name = '' } = object.metadata
    return [KINDS[object.kind] ?? 'ingresses', `${namespace}/${name}`, object]
  })

export async function startRouter(
  objects: readonly KubeObject[],
  settings: Partial<IngressSettings> = {},
  onClosed: (closed: ClosedPorts) => void = () => {},
): Promise<TestRouter> {
  const router = new IngressRouter({
    settings: { ...SETTINGS, ...settings, httpPort: 0, httpsPort: 0 },
    ...{ address: '127.0.0.1', own: await selfSigned('ingress.local') },
    ...{ clock: systemClock, random: systemRandom, log: quiet, onClosed },
  })
  router.change(changesOf(objects))
  const ports = await router.open()
  const change = (...changed: KubeObject[]) => router.change(changesOf(changed))
  return { ...ports, router, change, close: () => router.close() }
}

export async function startBackend(listener: RequestListener): Promise<{ port: number; server: Server }> {
  const server = createServer(listener)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return { port: (server.address() as AddressInfo).port, server }
}

export const ingressClass = (name = 'public', isDefault = true): KubeObject => ({
  apiVersion: 'networking.k8s.io/v1',
  kind: 'IngressClass',
  metadata: {
    name,
    annotations: { 'ingressclass.kubernetes.io/is-default-class': String(isDefault) },
  },
  spec: { controller: 'mk8s.io/ingress' },
})

/** A Service and the slice of its endpoints, each `address:port`. */
export function service(name: string, endpoints: readonly string[], appProtocol?: string): KubeObject[] {
  const metadata = { name, namespace: 'default' }
  const byPort = Map.groupBy(endpoints, endpoint => Number(endpoint.split(':')[1]))
  const slices = [...byPort].map(([port, list]) => ({
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: {
      name: `${name}-${port}`,
      namespace: 'default',
      labels: { 'kubernetes.io/service-name': name },
    },
    addressType: 'IPv4',
    ports: [{ name: 'web', port }],
    endpoints: list.map(one => ({ addresses: [one.split(':')[0]], conditions: { ready: true } })),
  }))
  const ports = [{ name: 'web', port: 80, ...(appProtocol === undefined ? {} : { appProtocol }) }]
  return [{ apiVersion: 'v1', kind: 'Service', metadata, spec: { ports } }, ...slices]
}

export interface PathGiven {
  readonly host?: string
  readonly path?: string
  readonly type?: string
  readonly service: string
}

export function ingress(
  name: string,
  paths: readonly PathGiven[],
  more: {
    readonly annotations?: Record<string, string>
    readonly spec?: Readonly<Record<string, unknown>>
    readonly created?: string
  } = {},
): KubeObject {
  const rules = paths.map(({ host, path = '/', type = 'Prefix', service: to }) => ({
    ...(host === undefined ? {} : { host }),
    http: {
      paths: [{ path, pathType: type, backend: { service: { name: to, port: { number: 80 } } } }],
    },
  }))
  return {
    apiVersion: 'networking.k8s.io/v1',
    kind: 'Ingress',
    metadata: {
      ...{ name, namespace: 'default', creationTimestamp: more.created ?? '2026-01-01T00:00:00Z' },
      annotations: more.annotations ?? {},
    },
    spec: { rules, ...more.spec },
  }
}
