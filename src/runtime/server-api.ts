/** Builds the API server of a node: who asks, may they, is it fit, and the listener in front of it. */
import { must } from '../base/assert.ts'
import { bracketed } from '../base/bracketed.ts'
import type { Clock } from '../base/clock.ts'
import type { Component } from '../base/component.ts'
import { Mk8sError } from '../base/errors.ts'
import type { Log } from '../base/log.ts'
import type { Random } from '../base/random.ts'
import { HttpsTransport } from '../client/https-transport.ts'
import { isAlreadyExists, KubeClient } from '../client/kube-client.ts'
import type { Problem } from '../client/node-status.ts'
import { NAMESPACES } from '../client/resources.ts'
import type { Transport } from '../client/transport.ts'
import { serviceNetworks } from '../config/cluster-networks.ts'
import { failoverTimes } from '../config/failover.ts'
import type { ClusterConfig, NodeConfig } from '../config/node-config.ts'
import { loopbackAddress } from '../config/values.ts'
import { buildInfo, GIT_VERSION, KUBERNETES_MAJOR, KUBERNETES_MINOR } from '../config/version.ts'
import { readAsset } from '../host/assets.ts'
import { cidrAddress, parseCidr } from '../kube/cidr.ts'
import type { Model } from '../kube/model-types.ts'
import { nodeAddress } from '../kube/node-address.ts'
import type { Node } from '../kube/types.ts'
import { isAddonOn } from './addon-states.ts'
import { createAdmission } from './apiserver/admission/admission.ts'
import { createMatchConditions } from './apiserver/admission/match-conditions.ts'
import { createAggregation } from './apiserver/aggregation/aggregation.ts'
import { createApiServiceKeeper } from './apiserver/aggregation/keeper.ts'
import { type ApiServer, createApiServer } from './apiserver/apiserver.ts'
import { createOidcDocuments } from './apiserver/authn/oidc.ts'
import { createAuthenticationHandlers } from './apiserver/authn/reviews.ts'
import { createTokenHandler, createTokenIssuer } from './apiserver/authn/service-account-tokens.ts'
import { createAuthorizer } from './apiserver/authz/authz.ts'
import { createAuthorizationHandlers } from './apiserver/authz/reviews.ts'
import {
  bootstrapObjects,
  createServerIdentity,
  createServerPresence,
  nodeRules,
  reconcileBootstrap,
} from './apiserver/bootstrap/bootstrap.ts'
import { createHttpsListener, type HttpsListener } from './apiserver/http/listener.ts'
import { createPolicyPlugins } from './apiserver/policies/policies.ts'
import type { Authorizer, ObjectReader } from './apiserver/ports.ts'
import { strategies } from './apiserver/registry/registry.ts'
import { createObjectReader } from './apiserver/storage/object-reader.ts'
import { createWebhookCaller } from './apiserver/webhooks/caller.ts'
import { createWebhookMetrics } from './apiserver/webhooks/metrics.ts'
import { createWebhookPlugins } from './apiserver/webhooks/webhooks.ts'
import { removedNodes } from './members/removed-nodes.ts'
import { renderMetrics } from './metrics/metrics.ts'
import { createMetricsApi, type MetricsApi } from './metrics-api/metrics-api.ts'
import type { LiveCertificates } from './pki/live-pki.ts'
import type { Pki } from './pki/pki.ts'
import { keysIn } from './pki/service-account-keys.ts'
import { createEncryptedStore } from './secrets-encryption/encrypted-store.ts'
import { type Access, admissionOf, buildAccess } from './server-access.ts'
import { buildAudit } from './server-audit.ts'
import { type ServerFigures, serverMetrics } from './server-metrics.ts'
import type { RaftStore } from './store/raft-store.ts'

/** What every part of a node is built from. */
export interface Shared {
  readonly config: NodeConfig
  readonly cluster: ClusterConfig
  readonly store: RaftStore
  readonly model: Model
  readonly pki: Pki
  readonly live: LiveCertificates<Pki>
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
}

export interface Api {
  readonly server: ApiServer
  /** The listener, then the bootstrap of the objects that a cluster begins with. */
  readonly components: readonly Component[]
  /** What is wrong with its configuration. */
  problems(): readonly Problem[]
  /** New connections, of clients and to kubelets, use these from now on. */
  useCertificates(pki: Pki): void
}

/** The first address of the service network, where the API server itself is reached. */
export function serviceIpOf({ serviceCidr }: ClusterConfig): string {
  return must(cidrAddress(must(parseCidr(serviceCidr), 'a service network'), 1), 'its first address')
}

/** What the API server tells of its node beyond the objects. */
interface Told {
  /** To Prometheus. */
  readonly metrics: () => string
  /** As `mk8s status` has it. */
  readonly status: () => Promise<unknown>
}

/** `onFatal`: something broke that the process cannot go on after. */
export function buildApi(shared: Shared, onFatal: (error: Error) => void, { metrics, status }: Told): Api {
  const { config, cluster, model, pki, live, clock, random } = shared
  const store = createEncryptedStore(shared.store, { fileKey: () => live.current.secretsKey, random })
  const log = shared.log.child({ component: 'api-server' })
  const objects = createObjectReader(store, model)
  const issuer = `https://kubernetes.default.svc.${cluster.clusterDomain}`
  const publicKeys = tokenKeys(live)
  const isRemoved = removedNodes(store)
  const authorizer = createAuthorizer({ store, objects, nodeRules: nodeRules(), isRemoved })
  const needs = { config, issuer, publicKeys, objects, authorizer, clock, log }
  const { authenticator, reviews, files } = buildAccess(needs)
  const admission = admissionOf(config)
  const privateKey = () => live.current.serviceAccount.privateKey
  const tokenIssuer = createTokenIssuer({ issuer, privateKey, clock, random })
  const kubelets = createKubeletConnections(objects, pki)
  const others = otherServers(shared, { objects, authorizer: reviews, kubelets })
  const { webhookCaller, webhooks, webhookMetrics, aggregation } = others
  const bootstrapped = { done: false }
  const { audit, components: audited } = buildAudit({ config, clock, random, log })
  const server: ApiServer = createApiServer({
    ...(audit === undefined ? {} : { audit }),
    store,
    model,
    descriptions: () => JSON.parse(readAsset('descriptions.json')),
    protobuf: () => JSON.parse(readAsset('protobuf.json')),
    strategies,
    authorizer: reviews,
    admission: createAdmission({
      ...{ objects, authorizer: { ...authorizer, authorize: reviews.authorize }, clock, random },
      tolerationSeconds: failoverTimes(cluster.failover).tolerationSeconds,
      ...{ protectStorageInUse: true, ...admission },
      createNamespace: name => createNamespace(server.transportFor(API_SERVER), name),
      policies: createPolicyPlugins({ store, objects, authorizer: reviews }),
      webhooks,
    }),
    limitedResources: admission.settings.limitedResources,
    countsQuotas: admission.enabled.has('ResourceQuota'),
    virtualHandlers: [
      createTokenHandler(tokenIssuer, clock),
      ...createAuthenticationHandlers(authenticator.reviewAnyToken, clock),
      ...createAuthorizationHandlers(reviews),
    ],
    settings: settingsOf(cluster),
    kubelets,
    aggregation,
    webhookCaller,
    status,
    metrics: () => metrics() + renderMetrics([...webhookMetrics.metrics(), ...ownMetrics(server, files)]),
    sliMetrics: () => renderMetrics(server.healthMetrics()),
    oidc: createOidcDocuments({
      issuer,
      jwksUri: `https://${bracketed(config.bindAddress)}:${config.ports.api}/openid/v1/jwks`,
      publicKeys,
    }),
    version: VERSION,
    clock,
    random,
    log,
    ...readiness(shared.store, bootstrapped),
    onFatal,
  })
  const opened = openTo({ ...shared, log }, { server, authenticator, kubelets, bootstrapped, others })
  return {
    server,
    ...opened,
    components: [...audited, ...opened.components, ...files],
    problems: () => files.flatMap(file => file.problems()),
  }
}

/** What has to be well before the server is ready, under upstream's names where it has them. */
const [DATASTORE, BOOTSTRAP] = ['datastore', 'poststarthook/rbac/bootstrap-roles'] as const

function ownFigures(server: ApiServer): ServerFigures {
  const { userCPUTime, systemCPUTime } = process.resourceUsage()
  return {
    ...{ version: VERSION, platform: VERSION.platform },
    cpuSeconds: (userCPUTime + systemCPUTime) / 1e6,
    startedAtSeconds: performance.timeOrigin / 1_000,
    apiServices: server.objects.list('apiregistration.k8s.io', 'apiservices'),
  }
}

const ownMetrics = (server: ApiServer, files: Access['files']) => [
  ...serverMetrics(ownFigures(server)),
  ...server.requestMetrics(),
  ...server.flowMetrics(),
  ...files.flatMap(file => file.metrics()),
]

const readiness = (store: RaftStore, bootstrapped: { readonly done: boolean }) => ({
  readyChecks: [DATASTORE, BOOTSTRAP],
  isReady: () => [...(isCaughtUp(store) ? [] : [DATASTORE]), ...(bootstrapped.done ? [] : [BOOTSTRAP])],
})

const VERSION = {
  major: KUBERNETES_MAJOR,
  minor: KUBERNETES_MINOR,
  gitVersion: GIT_VERSION,
  ...buildInfo,
  platform: `${process.platform}/${process.arch === 'x64' ? 'amd64' : process.arch}`,
}

/** The public keys that are believed, each in PEM; the same array while they are the same. */
function tokenKeys(live: LiveCertificates<Pki>): () => readonly string[] {
  let [text, keys] = ['', [] as readonly string[]]
  return () => {
    const { publicKey } = live.current.serviceAccount
    if (publicKey !== text) [text, keys] = [publicKey, keysIn(publicKey)]
    return keys
  }
}

const settingsOf = ({
  clusterDomain,
  serviceCidr,
  podCidr,
  ipv6,
  ipv4,
  nodePortRange: nodePorts,
}: ClusterConfig) => ({
  clusterDomain,
  serviceCidr,
  podCidr,
  ...(ipv6 !== undefined && { ipv6 }),
  ...(ipv4 !== undefined && { ipv4 }),
  nodePorts,
})

interface OtherServersNeeds {
  readonly objects: ObjectReader
  readonly authorizer: Authorizer
  readonly kubelets: KubeletConnections
}

/** What the API server asks other programs, and what other parts of this one answer. */
function otherServers(shared: Shared, { objects, authorizer, kubelets }: OtherServersNeeds) {
  const { store, clock, random, pki } = shared
  const common = { store, objects, clock, random }
  const webhookCaller = createWebhookCaller(common)
  const webhookMetrics = createWebhookMetrics()
  const webhooks = createWebhookPlugins({
    ...common,
    caller: webhookCaller,
    conditions: createMatchConditions(authorizer),
    metrics: webhookMetrics,
  })
  const metricsApi = createMetricsApi({
    list: resource => objects.list('', resource),
    connect: name => kubelets.connect(name),
    isOn: () => isAddonOn(store, 'metrics-server'),
    clock,
  })
  const credentials = pki.leaves['front-proxy-client']
  const aggregation = createAggregation({ ...common, credentials, locals: [metricsApi] })
  const stop = () => {
    webhooks.stop()
    webhookCaller.close()
    aggregation.stop()
  }
  return { webhookCaller, webhooks, webhookMetrics, aggregation, metricsApi, stop }
}

interface ApiParts {
  readonly server: ApiServer
  readonly authenticator: Access['authenticator']
  readonly kubelets: KubeletConnections
  readonly bootstrapped: { done: boolean }
  readonly others: ReturnType<typeof otherServers>
}

/** What makes the API server reachable, and what has to be there before it is. */
function openTo(shared: Shared, parts: ApiParts): Omit<Api, 'server' | 'problems'> {
  const { config, store, model, pki, clock, log } = shared
  const { server, authenticator, kubelets, bootstrapped, others } = parts
  const { aggregation } = others
  const tls = listenerCertificates(pki)
  const bootstrap = bootstrapComponent(shared, server, bootstrapped)
  const listeners = apiAddresses(config).map(host =>
    createHttpsListener({
      ...{ apiServer: server, authenticator, host, port: config.ports.api, tls },
      ...{ clock, random: shared.random, log },
    }),
  )
  return {
    components: [
      listenerComponent(listeners, server, others.stop),
      createServerPresence({
        ...{ store, clock, log },
        memberId: config.memberId,
        server: { address: config.bindAddress, port: config.ports.api },
      }),
      bootstrap,
      createServerIdentity({
        ...{ hostname: config.nodeName, objects: server.objects, clock, random: shared.random, log },
        transport: server.transportFor(API_SERVER),
      }),
      createApiServiceKeeper({
        ...{ store, clock, log, aggregation },
        objects: server.objects,
        transport: server.transportFor(API_SERVER),
        builtIn: [...model.resources, { ...localVersion(others.metricsApi), isOptional: true }],
      }),
    ],
    useCertificates(current) {
      for (const listener of listeners) listener.useCertificates(listenerCertificates(current))
      kubelets.useCertificates(current)
      aggregation.useCredentials(current.leaves['front-proxy-client'])
      bootstrap.useCertificates(current)
    },
  }
}

/** What the API server asks of itself. */
const API_SERVER = { username: 'system:apiserver', groups: ['system:masters'] }

async function createNamespace(transport: Transport, name: string): Promise<void> {
  const client = new KubeClient(transport)
  try {
    await client.create(NAMESPACES, { apiVersion: 'v1', kind: 'Namespace', metadata: { name } })
  } catch (error) {
    if (!isAlreadyExists(error)) throw error
  }
}

const localVersion = (api: MetricsApi) => ({
  ...{ group: api.group, version: api.version },
  isOn: () => api.isOn(),
})

/** Entries that a member may have yet to apply and be fit to serve. */
const LAG_MAX = 1_000

/** Leading or not: somebody leads, and this member has applied nearly all that it knows to be committed. */
function isCaughtUp(store: Pick<RaftStore, 'status'>): boolean {
  const { leaderMemberId, commit, applied } = store.status()
  return leaderMemberId !== 0 && commit - applied <= LAG_MAX
}

function listenerCertificates({ leaves, authorities }: Pki): Parameters<HttpsListener['useCertificates']>[0] {
  const { certificate: cert, key } = leaves.apiserver
  return { cert, key, clientCa: authorities['cluster-ca'].certificate }
}

/** The API is reached on loopback too, so that what runs on this machine need not know its address. */
const apiAddresses = ({ bindAddress }: NodeConfig): readonly string[] => [
  ...new Set([bindAddress, loopbackAddress(bindAddress)]),
]

function listenerComponent(
  listeners: readonly HttpsListener[],
  server: ApiServer,
  stopped: () => void,
): Component {
  return {
    name: 'api-server',
    async prepare() {},
    async start() {
      for (const listener of listeners) await listener.start()
    },
    async stop() {
      await Promise.all([server.stop(), ...listeners.map(listener => listener.stop())])
      stopped()
    },
    health: () =>
      listeners.map(listener => listener.health()).find(({ ok }) => !ok) ?? { ok: true, reason: '' },
  }
}

function bootstrapComponent(
  shared: Shared,
  server: ApiServer,
  state: { done: boolean },
): Component & Pick<Api, 'useCertificates'> {
  const log = shared.log.child({ component: 'bootstrap' })
  const ended = new AbortController()
  let { pki } = shared
  let problems: readonly string[] = []
  let writing: Promise<void> = Promise.resolve()
  const write = async (signal: AbortSignal) => {
    const report = await reconcileBootstrap({
      transport: server.transportFor({ username: 'system:apiserver', groups: ['system:masters'] }),
      objects: server.objects,
      wanted: bootstrapObjects(bootstrapFacts(shared, pki)),
      signal,
    })
    problems = report.problems
    state.done ||= problems.length === 0
    const { created, updated } = report
    if (problems.length > 0)
      log.error('objects that a cluster begins with could not be written', { problems })
    else log.info('the objects that a cluster begins with are there', { created, updated })
  }
  return {
    name: 'bootstrap',
    async prepare() {},
    start: write,
    async stop() {
      ended.abort()
      await writing
    },
    health: () => ({ ok: state.done, reason: state.done ? '' : (problems[0] ?? 'not finished yet') }),
    useCertificates(current) {
      const isSame =
        current.authorities['cluster-ca'].certificate === pki.authorities['cluster-ca'].certificate
      pki = current
      if (isSame || !state.done) return
      writing = writing.then(() =>
        write(ended.signal).catch(error =>
          log.warn('extension API servers know the earlier authority', { error }),
        ),
      )
    },
  }
}

function bootstrapFacts({ config, cluster }: Shared, { authorities }: Pki) {
  return {
    serviceIp: serviceIpOf(cluster),
    serviceCidrs: serviceNetworks(cluster),
    apiPort: config.ports.api,
    clientCa: authorities['cluster-ca'].certificate,
    frontProxyCa: authorities['front-proxy-ca'].certificate,
  }
}

/** One kept-alive transport per kubelet, by the address that its Node gives. */
function createKubeletConnections(objects: ObjectReader, pki: Pki): KubeletConnections {
  const known = new Map<string, HttpsTransport>()
  let credentials = kubeletCredentials(pki)
  return {
    connect(nodeName) {
      const address = kubeletAddress(objects, nodeName)
      const transport =
        known.get(address) ?? new HttpsTransport({ server: `https://${address}`, ...credentials })
      known.set(address, transport)
      return transport
    },
    useCertificates(current) {
      credentials = kubeletCredentials(current)
      for (const transport of known.values()) transport.useCertificates(credentials)
    },
  }
}

interface KubeletConnections {
  connect(nodeName: string): Transport
  useCertificates(pki: Pki): void
}

function kubeletCredentials({ authorities, leaves }: Pki) {
  const { certificate: certificatePem, key: keyPem } = leaves['apiserver-kubelet-client']
  return { caPem: authorities['cluster-ca'].certificate, certificatePem, keyPem }
}

function kubeletAddress(objects: ObjectReader, nodeName: string): string {
  const node = objects.get('', 'nodes', '', nodeName) as Node | undefined
  const address = node && nodeAddress(node, 'InternalIP')
  if (address === undefined) {
    throw new Mk8sError('api/unreachable', `node ${nodeName} has no address to reach its kubelet at`)
  }
  return `${bracketed(address)}:${node?.status?.daemonEndpoints?.kubeletEndpoint?.Port ?? 10250}`
}
