/** Builds what the leader of one term runs: controllers and scheduler over one set of caches. */
import type { Component } from '../base/component.ts'
import type { Informer } from '../client/informer.ts'
import { InformerSet } from '../client/informer-set.ts'
import { KubeClient } from '../client/kube-client.ts'
import { NODES } from '../client/resources.ts'
import { podNetworks } from '../config/cluster-networks.ts'
import { failoverTimes } from '../config/failover.ts'
import type { NodeConfig } from '../config/node-config.ts'
import type { Node } from '../kube/types.ts'
import { addonBeginnings } from './addon-beginnings.ts'
import { isAddonOn } from './addon-states.ts'
import { createAddonKeeper } from './addons/addons.ts'
import { createIngressKeeper } from './addons/ingress/ingress-keeper.ts'
import { createAddressAllocator } from './addons/loadbalancer/allocator.ts'
import { createRegistryKeeper } from './addons/registry/registry-keeper.ts'
import type { ApiServer } from './apiserver/apiserver.ts'
import { createEndpointKeeper } from './apiserver/bootstrap/bootstrap.ts'
import type { UserInfo } from './apiserver/user.ts'
import { createControllers, DEFAULT_SETTINGS } from './controllers/controllers.ts'
import { createDnsEndpoints } from './dns-endpoints.ts'
import { createDnsService } from './dns-service.ts'
import { createServerLabels } from './members/server-labels.ts'
import { dnsServiceIp } from './node-dns.ts'
import type { LiveCertificates } from './pki/live-pki.ts'
import type { Pki } from './pki/pki.ts'
import { createScheduler, parseSchedulerConfig, type SchedulerConfig } from './scheduler/scheduler.ts'
import type { Shared } from './server-api.ts'
import { readConfigured } from './server-audit.ts'
import { upgradeKeeperOf } from './server-upgrades.ts'

const CONTROLLER_MANAGER: UserInfo = {
  username: 'system:kube-controller-manager',
  groups: ['system:authenticated'],
}
/** Who marks the servers among the nodes. */
const MEMBERS: UserInfo = {
  username: 'mk8s:members',
  groups: ['system:masters', 'system:authenticated'],
}
const ADDONS: UserInfo = {
  username: 'mk8s:addons',
  groups: ['system:masters', 'system:authenticated'],
}
const LOAD_BALANCER: UserInfo = { username: 'mk8s:load-balancer', groups: ['system:authenticated'] }
const SCHEDULER: UserInfo = { username: 'system:kube-scheduler', groups: ['system:authenticated'] }

export interface LeaderNeeds extends Shared {
  readonly schedulerConfig: SchedulerConfig | undefined
  readonly live: LiveCertificates<Pki>
}

/** Read when the server starts, so that a mistake in it stops the start. */
export function readSchedulerConfig({ scheduler }: NodeConfig): SchedulerConfig | undefined {
  const path = scheduler?.['config']
  return path === undefined ? undefined : parseSchedulerConfig(readConfigured(path), path, readConfigured)
}

export function leaderDutiesOf(shared: LeaderNeeds, server: ApiServer, term: number): readonly Component[] {
  const { clock, random, cluster, live, model } = shared
  const log = shared.log.child({ component: 'controllers' })
  const client = new KubeClient(server.transportFor(CONTROLLER_MANAGER), { userAgent: 'mk8s/informers' })
  // A leader has applied everything that was written before its term; it need not ask the others.
  const informers = new InformerSet({ client, clock, random, log, fromMemory: true })
  const controllers = createControllers({
    transport: user => server.transportFor(user),
    informers,
    clock,
    random,
    log,
    settings: {
      ...DEFAULT_SETTINGS,
      podCidrs: podNetworks(cluster),
      nodeMonitorGraceMs: failoverTimes(cluster.failover).nodeMonitorGraceMs,
      get clusterCaPem() {
        return live.current.authorities['cluster-ca'].certificate
      },
      get clusterAuthority() {
        return live.current.authorities['cluster-ca']
      },
      onClusterCa: listener => live.onChange(listener),
    },
    term,
    model,
  })
  const scheduler = createScheduler({
    transport: server.transportFor(SCHEDULER),
    informers,
    clock,
    random,
    log: shared.log.child({ component: 'scheduler' }),
    term,
    config: shared.schedulerConfig,
  })
  const endpoints = createEndpointKeeper({
    ...{ store: shared.store, objects: server.objects, clock, term },
    transport: server.transportFor({ username: 'system:apiserver', groups: ['system:masters'] }),
    log: shared.log.child({ component: 'kubernetes-endpoints' }),
  })
  const labels = createServerLabels({
    store: shared.store,
    nodes: informers.informer<Node>(NODES),
    client: new KubeClient(server.transportFor(MEMBERS), { userAgent: 'mk8s/members', term }),
    clock,
    log: shared.log.child({ component: 'members' }),
  })
  const dns = dnsDutiesOf(shared, server, { term, nodes: informers.informer<Node>(NODES) })
  const addonTransport = server.transportFor(ADDONS)
  const { clusterDomain, serviceCidr, podCidr } = cluster
  const addons = createAddonKeeper({
    transport: addonTransport,
    facts: { clusterDomain, serviceCidr, podCidr, dnsAddress: dnsServiceIp(cluster) },
    begin: addonBeginnings({ store: shared.store, transport: addonTransport, clock }),
    ...{ model, clock, random, term },
    log: shared.log.child({ component: 'addons' }),
  })
  const upgrades = upgradeKeeperOf(shared, server, term)
  const addresses = addressAllocatorOf(shared, server, term)
  const single = addonDutiesOf(shared, server, { term, nodes: informers.informer<Node>(NODES) })
  return [endpoints, scheduler, controllers, labels, ...dns, addons, ...single, addresses, upgrades]
}

/** What single add-ons need a leader for. */
function addonDutiesOf(
  { clock, random, live, cluster, log }: LeaderNeeds,
  server: ApiServer,
  { term, nodes }: { readonly term: number; readonly nodes: Informer<Node> },
): readonly Component[] {
  const common = { transport: server.transportFor(ADDONS), clock, random, term }
  const ingress = createIngressKeeper({ ...common, log: log.child({ component: 'ingress' }) })
  const registry = createRegistryKeeper({
    ...{ ...common, nodes, clusterDomain: cluster.clusterDomain },
    log: log.child({ component: 'registry' }),
    authority: () => live.current.authorities['cluster-ca'],
    onAuthority: listener => live.onChange(listener),
  })
  return [ingress, registry]
}

/** The Service of the cluster's DNS, and where each node has its own. */
function dnsDutiesOf(
  { clock, cluster, log: parent, store }: LeaderNeeds,
  server: ApiServer,
  { term, nodes }: { readonly term: number; readonly nodes: Informer<Node> },
): readonly Component[] {
  const log = parent.child({ component: 'dns' })
  const shared = { transport: server.transportFor(MEMBERS), cluster, clock, term, log }
  const isOn = () => isAddonOn(store, 'dns')
  return [createDnsService(shared), createDnsEndpoints({ ...shared, nodes, isOn })]
}

function addressAllocatorOf({ clock, random, log }: LeaderNeeds, server: ApiServer, term: number): Component {
  return createAddressAllocator({
    addonTransport: server.transportFor(ADDONS),
    transport: server.transportFor(LOAD_BALANCER),
    ...{ clock, random, term },
    log: log.child({ component: 'load-balancer' }),
  })
}
