/** How a server reaches the upgrade of another node: the kubelet's port, with the API server's certificate. */
import { request as httpsRequest } from 'node:https'
import type { Readable } from 'node:stream'
import { Mk8sError } from '../../base/errors.ts'
import { readBounded } from '../../base/read-bounded.ts'
import type { Node } from '../../kube/types.ts'
import type { Pki } from '../pki/pki.ts'
import type { UpgradeFacts } from './plan-upgrade.ts'
import type { UpgradeRecord } from './upgrade-journal.ts'

/** What comes with an executable: the node verifies it by itself. */
export interface Offer {
  /** Base64 of `SHA256SUMS`. */
  readonly sums: string
  readonly signature: string
  readonly version: string
  readonly others: UpgradeFacts['others']
  readonly timeoutMs: number
}

export interface UpgradeReport {
  readonly version: string
  readonly platform: string
  readonly arch: string
  readonly record: UpgradeRecord | null
}

export const OFFER_HEADER = 'mk8s-upgrade'
const KUBELET_PORT = 10_250
const STALL_MS = 60_000
const ANSWER_BYTES_MAX = 64 * 1024

export function reportOf(pki: Pki, node: Node): Promise<UpgradeReport> {
  return ask(pki, node, 'GET', {}) as Promise<UpgradeReport>
}

/** Resolves once the node has the executable beside its own and goes on by itself. */
export async function sendUpgrade(pki: Pki, node: Node, offer: Offer, executable: Readable): Promise<void> {
  const headers = { [OFFER_HEADER]: Buffer.from(JSON.stringify(offer)).toString('base64') }
  await ask(pki, node, 'POST', headers, executable)
}

async function ask(
  { authorities, leaves }: Pki,
  node: Node,
  method: 'GET' | 'POST',
  headers: Record<string, string>,
  body?: Readable,
): Promise<unknown> {
  const host = node.status?.addresses?.find(({ type }) => type === 'InternalIP')?.address
  if (host === undefined) throw new Mk8sError('refused', `the node ${node.metadata.name} has no address`)
  const { certificate: cert, key } = leaves['apiserver-kubelet-client']
  const { status, text } = await new Promise<{ status: number; text: string }>((resolve, reject) => {
    const request = httpsRequest({
      ...{ host, method, path: '/upgrade', headers, agent: false, cert, key, timeout: STALL_MS },
      port: node.status?.daemonEndpoints?.kubeletEndpoint?.Port ?? KUBELET_PORT,
      ca: authorities['cluster-ca'].certificate,
    })
    request.on('timeout', () => request.destroy(new Error('nothing moved for a minute')))
    request.on('error', reject)
    request.on('response', response => {
      readBounded(response, ANSWER_BYTES_MAX)
        .then(bytes => resolve({ status: response.statusCode ?? 0, text: bytes.toString('utf8') }))
        .catch(reject)
    })
    if (body === undefined) request.end()
    else body.once('error', error => request.destroy(error)).pipe(request)
  })
  if (status === 200) return JSON.parse(text)
  if (status === 404 || status === 405)
    throw new Mk8sError('refused', 'the node cannot be upgraded from elsewhere', { why: text })
  throw new Mk8sError('refused', text.slice(0, 1_000))
}
