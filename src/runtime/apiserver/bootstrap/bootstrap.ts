/**
 * The door of bootstrap: the objects that the API server itself makes, and the start-up step that sees to it
 * that they are there.
 */
import type { KubeObject } from '../../../kube/object.ts'
import { componentBindings, componentRoles } from './component-roles.ts'
import { controllerBindings, controllerRoles } from './controller-roles.ts'
import { flowControlObjects } from './flow-control.ts'
import { namespacedBindings, namespacedRoles } from './namespaced-roles.ts'
import { userBindings, userRoles } from './user-roles.ts'

export { nodeRules } from './component-roles.ts'
export { type BootstrapReport, reconcileBootstrap } from './reconcile.ts'

export interface BootstrapFacts {
  /** The first address of the service network. */
  readonly serviceIp: string
  /** `10.152.183.0/24`. */
  readonly serviceCidr: string
  readonly apiPort: number
  /** Where the API servers of this cluster are reached: the endpoints of the service `kubernetes`. */
  readonly apiAddresses: readonly string[]
  /** PEM of the cluster authority, which extension API servers trust clients by. */
  readonly clientCa?: string
  /** PEM of the front-proxy authority. */
  readonly frontProxyCa?: string
}

const core = (kind: string, metadata: KubeObject['metadata'], rest: object = {}): KubeObject => ({
  apiVersion: 'v1',
  kind,
  metadata,
  ...rest,
})

/** In the order they are to be made: what others live in comes first. */
export function bootstrapObjects(facts: BootstrapFacts): readonly KubeObject[] {
  return [
    ...namespaces(),
    ...userRoles(),
    ...componentRoles(),
    ...controllerRoles(),
    ...namespacedRoles(),
    ...userBindings(),
    ...componentBindings(),
    ...controllerBindings(),
    ...namespacedBindings(),
    ...priorityClasses(),
    ...flowControlObjects(),
    ...kubernetesService(facts),
    ...authenticationConfigMap(facts),
  ]
}

function namespaces(): readonly KubeObject[] {
  return ['default', 'kube-system', 'kube-public', 'kube-node-lease'].map(name => core('Namespace', { name }))
}

function priorityClasses(): readonly KubeObject[] {
  const priorityClass = (name: string, value: number, description: string): KubeObject => ({
    apiVersion: 'scheduling.k8s.io/v1',
    kind: 'PriorityClass',
    metadata: { name },
    value,
    description,
    preemptionPolicy: 'PreemptLowerPriority',
  })
  return [
    priorityClass(
      'system-cluster-critical',
      2_000_000_000,
      'Used for system critical pods that must run in the cluster, but can be moved to another node if necessary.',
    ),
    priorityClass(
      'system-node-critical',
      2_000_001_000,
      'Used for system critical pods that must not be moved from their current node.',
    ),
  ]
}

/** The service `kubernetes`, whose endpoints the API server keeps itself. */
function kubernetesService(facts: BootstrapFacts): readonly KubeObject[] {
  const metadata = (labels: Record<string, string>) => ({ name: 'kubernetes', namespace: 'default', labels })
  const { serviceIp, apiPort, apiAddresses } = facts
  const family = serviceIp.includes(':') ? 'IPv6' : 'IPv4'
  const addresses = apiAddresses.filter(isEndpointAddress).sort()
  const port = { name: 'https', port: apiPort, protocol: 'TCP' }
  return [
    {
      apiVersion: 'networking.k8s.io/v1',
      kind: 'ServiceCIDR',
      metadata: { name: 'kubernetes' },
      spec: { cidrs: [facts.serviceCidr] },
    },
    core('Service', metadata({ component: 'apiserver', provider: 'kubernetes' }), {
      spec: {
        type: 'ClusterIP',
        clusterIP: serviceIp,
        clusterIPs: [serviceIp],
        ipFamilies: [family],
        ipFamilyPolicy: 'SingleStack',
        sessionAffinity: 'None',
        internalTrafficPolicy: 'Cluster',
        ports: [{ name: 'https', port: 443, targetPort: apiPort, protocol: 'TCP' }],
      },
    }),
    core('Endpoints', metadata({ 'endpointslice.kubernetes.io/skip-mirror': 'true' }), {
      subsets: addresses.length === 0 ? [] : [{ addresses: addresses.map(ip => ({ ip })), ports: [port] }],
    }),
    {
      apiVersion: 'discovery.k8s.io/v1',
      kind: 'EndpointSlice',
      metadata: metadata({ 'kubernetes.io/service-name': 'kubernetes' }),
      addressType: addresses[0]?.includes(':') ? 'IPv6' : 'IPv4',
      endpoints: addresses.map(address => ({ addresses: [address], conditions: { ready: true } })),
      ports: [port],
    },
  ]
}

/** What validation accepts as an endpoint; a cluster that listens on "any address" has none to tell. */
const isEndpointAddress = (address: string): boolean => !['', '0.0.0.0', '::', '::1'].includes(address)

/** How extension API servers find out whom to trust. */
function authenticationConfigMap(facts: BootstrapFacts): readonly KubeObject[] {
  if (facts.clientCa === undefined) return []
  const frontProxy = {
    'requestheader-allowed-names': '["front-proxy-client"]',
    'requestheader-client-ca-file': facts.frontProxyCa,
    'requestheader-extra-headers-prefix': '["X-Remote-Extra-"]',
    'requestheader-group-headers': '["X-Remote-Group"]',
    'requestheader-uid-headers': '["X-Remote-Uid"]',
    'requestheader-username-headers': '["X-Remote-User"]',
  }
  const metadata = { name: 'extension-apiserver-authentication', namespace: 'kube-system' }
  const data = { 'client-ca-file': facts.clientCa, ...(facts.frontProxyCa === undefined ? {} : frontProxy) }
  return [core('ConfigMap', metadata, { data })]
}
