/**
 * The door of bootstrap: the objects that the API server itself makes, and the start-up step that sees to it
 * that they are there.
 */
import { familyOf } from '../../../kube/ip-family.ts'
import type { KubeObject } from '../../../kube/object.ts'
import { componentBindings, componentRoles } from './component-roles.ts'
import { controllerBindings, controllerRoles } from './controller-roles.ts'
import { flowControlObjects } from './flow-control.ts'
import { namespacedBindings, namespacedRoles } from './namespaced-roles.ts'
import { userBindings, userRoles } from './user-roles.ts'

export { nodeRules } from './component-roles.ts'
export { createEndpointKeeper } from './endpoint-keeper.ts'
export { kubernetesEndpoints } from './kubernetes-endpoints.ts'
export { type BootstrapReport, reconcileBootstrap } from './reconcile.ts'
export { createServerIdentity } from './server-identity.ts'
export { createServerPresence } from './server-presence.ts'

export interface BootstrapFacts {
  /** The first address of the service network. */
  readonly serviceIp: string
  /** `10.152.183.0/24`, and one of IPv6 where there is one. */
  readonly serviceCidrs: readonly string[]
  readonly apiPort: number
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

/** The service `kubernetes`, whose endpoints the leader keeps (see endpoint-keeper.ts). */
function kubernetesService(facts: BootstrapFacts): readonly KubeObject[] {
  const { serviceIp, apiPort } = facts
  const labels = { component: 'apiserver', provider: 'kubernetes' }
  const family = familyOf(serviceIp)
  return [
    {
      apiVersion: 'networking.k8s.io/v1',
      kind: 'ServiceCIDR',
      metadata: { name: 'kubernetes' },
      spec: { cidrs: [...facts.serviceCidrs] },
    },
    core(
      'Service',
      { name: 'kubernetes', namespace: 'default', labels },
      {
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
      },
    ),
  ]
}

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
