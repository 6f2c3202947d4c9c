/**
 * A worker gets its certificates anew, by showing its present one: for exactly its own name, and for
 * an address that is nobody else's, as long as it is a node of the cluster.
 */
import { isIP } from 'node:net'
import type { TLSSocket } from 'node:tls'
import { Mk8sError } from '../../base/errors.ts'
import { isMap } from '../../kube/json-map.ts'
import { WORKER_LEAVES } from '../pki/authorities.ts'
import { issueWorkerCertificates, type WorkerIssue, type WorkerKeys } from '../pki/worker-certificates.ts'

export const RENEW_PATH = '/v1/renew'
const KEY_LENGTH_MAX = 1_024
const NODES_GROUP = 'system:nodes'
const NODE_USER = 'system:node:'

/** `POST /v1/renew`; the public keys may be new. */
export interface RenewRequest {
  readonly publicKeys: WorkerKeys
  /** Where its kubelet listens. */
  readonly address: string
}

/** PEM: certificates for the keys, and the cluster authority (with earlier ones while it is being replaced). */
export interface RenewAnswer {
  readonly certificates: WorkerKeys
  readonly authority: string
}

/** The node whose certificate the client has shown; undefined for anybody else. */
export function nodeOf(socket: TLSSocket): string | undefined {
  if (!socket.authorized) return undefined
  const { subject } = socket.getPeerCertificate()
  const [organization, commonName]: unknown[] = [subject?.O, subject?.CN]
  if (organization !== NODES_GROUP || typeof commonName !== 'string') return undefined
  return commonName.startsWith(NODE_USER) ? commonName.slice(NODE_USER.length) : undefined
}

/** The cluster's nodes, as the API knows them. */
export interface NodeAddresses {
  isNode(name: string): boolean
  /** The node, server or service that has this address; undefined when nobody is known to have it. */
  ownerOf(address: string): string | undefined
}

export interface RenewalParts extends Pick<WorkerIssue, 'authority' | 'clock' | 'random'> {
  readonly nodes: NodeAddresses
}

export async function renewWorker(
  nodeName: string,
  body: unknown,
  { nodes, ...issue }: RenewalParts,
): Promise<RenewAnswer> {
  if (!nodes.isNode(nodeName)) {
    throw new Mk8sError('refused', `${nodeName} is no node of this cluster`, {
      why: 'it was removed',
      hint: 'mk8s reset, then join again',
    })
  }
  const { publicKeys, address } = parseRenewRequest(body)
  const owner = nodes.ownerOf(address)
  if (owner !== undefined && owner !== nodeName)
    throw new Mk8sError('refused', `the address ${address} is that of ${owner}`)
  const wanted = { nodeName, addresses: [address], publicKeys }
  const certificates = await issueWorkerCertificates({ ...wanted, ...issue })
  return { certificates, authority: issue.authority.certificate }
}

function parseRenewRequest(body: unknown): RenewRequest {
  const { publicKeys: keys, address } = isMap(body) ? body : {}
  if (typeof address !== 'string' || isIP(address) === 0)
    throw new Mk8sError('usage', 'the request names no address')
  if (!isMap(keys)) throw new Mk8sError('usage', 'the request names no public keys')
  const entries = WORKER_LEAVES.map(name => {
    const key = keys[name]
    if (typeof key !== 'string' || key.length > KEY_LENGTH_MAX)
      throw new Mk8sError('usage', `the request has no key for ${name}`)
    return [name, key]
  })
  return { publicKeys: Object.fromEntries(entries), address }
}
