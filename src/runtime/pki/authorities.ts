/** What belongs in a node's pki directory: the authorities, the leaf certificates and the names each one bears. */
import { mirrorOf } from '../../kube/mirror-address.ts'

export const AUTHORITIES = ['cluster-ca', 'peer-ca', 'front-proxy-ca'] as const
export type AuthorityName = (typeof AUTHORITIES)[number]

export const LEAVES = [
  'apiserver',
  'apiserver-kubelet-client',
  'kubelet',
  'peer',
  'front-proxy-client',
  'admin',
] as const
export type LeafName = (typeof LEAVES)[number]

/** A worker holds no authority: its certificates come from a server, for keys that never leave the worker. */
export const WORKER_LEAVES = ['kubelet', 'kubelet-client', 'proxy-client'] as const
export type WorkerLeafName = (typeof WORKER_LEAVES)[number]

/** What API servers call themselves where they are clients; administrators are in the same group. */
export const API_SERVER_CLIENT = 'kube-apiserver-kubelet-client'

export interface LeafPlan {
  readonly name: LeafName | WorkerLeafName
  readonly authority: AuthorityName
  readonly commonName: string
  readonly organization?: string
  readonly usages: readonly ('server' | 'client')[]
  readonly dnsNames: readonly string[]
  readonly ipAddresses: readonly string[]
  readonly uris: readonly string[]
}

export interface LeafFacts {
  readonly nodeName: string
  /** Addresses that this node is reached at; IPv4 or IPv6. */
  readonly addresses: readonly string[]
  /** The first address of the service network. */
  readonly serviceIp: string
  /** More names or addresses for the API server's certificate. */
  readonly extraSans: readonly string[]
  readonly clusterDomain: string
  readonly clusterId: string
  /** What the store calls this member, in hexadecimal without leading zeros. */
  readonly memberId: string
}

/** The URI in a peer certificate that names its cluster and its member. */
export function peerIdentity(clusterId: string, memberId: string): string {
  return `mk8s://${encodeURIComponent(clusterId)}/member/${encodeURIComponent(memberId)}`
}

/** Every leaf certificate that a node of these facts has. */
export function planLeaves(facts: LeafFacts): readonly LeafPlan[] {
  const none = { dnsNames: [], ipAddresses: [], uris: [] }
  const client = { usages: ['client'] as const, ...none }
  return [
    planApiServer(facts),
    {
      name: 'apiserver-kubelet-client',
      authority: 'cluster-ca',
      commonName: API_SERVER_CLIENT,
      organization: 'system:masters',
      ...client,
    },
    planKubelet(facts),
    planPeer(facts),
    { name: 'front-proxy-client', authority: 'front-proxy-ca', commonName: 'front-proxy-client', ...client },
    {
      name: 'admin',
      authority: 'cluster-ca',
      commonName: 'kubernetes-admin',
      organization: 'system:masters',
      ...client,
    },
  ]
}

/** Every certificate that a worker of this name has, and no other name: all are signed by the cluster authority. */
export function planWorkerLeaves(
  facts: Pick<LeafFacts, 'nodeName' | 'addresses'>,
): readonly (LeafPlan & { readonly name: WorkerLeafName })[] {
  const none = { dnsNames: [], ipAddresses: [], uris: [] }
  const client = { authority: 'cluster-ca', usages: ['client'], ...none } as const
  return [
    { ...planKubelet(facts), name: 'kubelet' },
    {
      name: 'kubelet-client',
      commonName: `system:node:${facts.nodeName}`,
      organization: 'system:nodes',
      ...client,
    },
    { name: 'proxy-client', commonName: 'system:kube-proxy', ...client },
  ]
}

function planApiServer(facts: LeafFacts): LeafPlan {
  const service = ['kubernetes', 'kubernetes.default', 'kubernetes.default.svc']
  const names = [
    facts.nodeName,
    'localhost',
    ...service,
    `kubernetes.default.svc.${facts.clusterDomain}`,
    ...facts.extraSans.filter(san => !isAddress(san)),
  ]
  const addresses = [
    '127.0.0.1',
    '::1',
    ...facts.addresses,
    facts.serviceIp,
    ...(facts.serviceIp.includes(':') ? [] : [mirrorOf(facts.serviceIp)]),
    ...facts.extraSans.filter(isAddress),
  ]
  return {
    name: 'apiserver',
    authority: 'cluster-ca',
    commonName: 'kube-apiserver',
    usages: ['server'],
    dnsNames: unique(names),
    ipAddresses: unique(addresses),
    uris: [],
  }
}

function planKubelet(facts: Pick<LeafFacts, 'nodeName' | 'addresses'>): LeafPlan {
  return {
    name: 'kubelet',
    authority: 'cluster-ca',
    commonName: `system:node:${facts.nodeName}`,
    organization: 'system:nodes',
    usages: ['server'],
    dnsNames: unique([facts.nodeName, 'localhost']),
    ipAddresses: unique(['127.0.0.1', ...facts.addresses]),
    uris: [],
  }
}

function planPeer(facts: LeafFacts): LeafPlan {
  return {
    name: 'peer',
    authority: 'peer-ca',
    commonName: facts.nodeName,
    usages: ['server', 'client'],
    dnsNames: unique([facts.nodeName, 'localhost']),
    ipAddresses: unique(['127.0.0.1', ...facts.addresses]),
    uris: [peerIdentity(facts.clusterId, facts.memberId)],
  }
}

const isAddress = (text: string): boolean => text.includes(':') || /^\d+(\.\d+){3}$/.test(text)
/** An all-zero bind address names no host, so no certificate bears it. */
const unique = (items: readonly string[]): string[] =>
  [...new Set(items)].filter(item => !isUnspecified(item))
const isUnspecified = (item: string): boolean => item === '' || item === '0.0.0.0' || item === '::'
