/** A worker's certificates: it shows its present one to any server, and gets new ones for the same keys. */
import { createPublicKey, X509Certificate } from 'node:crypto'
import { join } from 'node:path'
import { bracketed } from '../base/bracketed.ts'
import type { Clock } from '../base/clock.ts'
import { Mk8sError } from '../base/errors.ts'
import type { Log } from '../base/log.ts'
import { HttpsTransport } from '../client/https-transport.ts'
import type { NodeConfig } from '../config/node-config.ts'
import { nodePaths } from '../host/node-files.ts'
import { RENEW_PATH, type RenewAnswer, type RenewRequest } from './join/renewals.ts'
import type { MemberAddress } from './members/member-record.ts'
import { WORKER_LEAVES } from './pki/authorities.ts'
import { pairPaths, writeFilesDurably } from './pki/files.ts'
import { LiveCertificates } from './pki/live-pki.ts'
import { type CertificateRenewal, createCertificateRenewal } from './pki/renewal.ts'
import { isDue, signerOf } from './pki/validity.ts'
import { loadWorkerPki, type WorkerKeys, type WorkerPki } from './pki/worker-certificates.ts'

export interface WorkerCertificateParts {
  readonly config: NodeConfig
  /** Join listeners of the servers, as far as they are known; asked in turn. */
  readonly servers: () => readonly MemberAddress[]
  readonly clock: Clock
  readonly log: Log
}

/** A name that every server's certificate bears. */
const SERVER_NAME = 'kubernetes.default.svc'
const ANSWER_MS_MAX = 10_000
const OK = 200

export async function buildWorkerCertificates(parts: WorkerCertificateParts): Promise<{
  readonly live: LiveCertificates<WorkerPki>
  readonly renewal: CertificateRenewal
}> {
  const { config, clock } = parts
  const directory = nodePaths(config.dataDir).pki
  const live = new LiveCertificates(await loadWorkerPki(directory))
  const renewal = createCertificateRenewal<WorkerPki>({
    live,
    async renew(forced) {
      const pki = live.current
      if (forced.length === 0 && isGoodEnough(pki, config, clock.now())) return []
      await writeAnswer(directory, await askAnyServer(pki, parts))
      return WORKER_LEAVES
    },
    load: () => loadWorkerPki(directory),
    clock,
    log: parts.log.child({ component: 'certificates' }),
  })
  return { live, renewal }
}

/** All are alive for long, and the kubelet's own bears the address that the node has. */
export function isGoodEnough(
  { clusterAuthority, leaves }: WorkerPki,
  { bindAddress }: Pick<NodeConfig, 'bindAddress'>,
  nowMs: number,
): boolean {
  const authority = signerOf(clusterAuthority)
  const certificates = WORKER_LEAVES.map(name => new X509Certificate(leaves[name].certificate))
  const serving = new X509Certificate(leaves.kubelet.certificate)
  return (
    certificates.every(leaf => !isDue(leaf, authority, nowMs) && leaf.checkIssued(authority)) &&
    serving.checkIP(bindAddress) !== undefined
  )
}

async function askAnyServer(pki: WorkerPki, parts: WorkerCertificateParts): Promise<RenewAnswer> {
  let last: unknown = new Mk8sError('api/unreachable', 'no server is known to renew the certificates')
  for (const server of parts.servers()) {
    try {
      return await ask(server, pki, parts.config)
    } catch (error) {
      last = error
    }
  }
  throw last
}

async function ask({ host, port }: MemberAddress, pki: WorkerPki, config: NodeConfig): Promise<RenewAnswer> {
  const { certificate, key } = pki.leaves['kubelet-client']
  const transport = new HttpsTransport({
    server: `https://${bracketed(host)}:${port}`,
    serverName: SERVER_NAME,
    caPem: pki.clusterAuthority,
    certificatePem: certificate,
    keyPem: key,
  })
  const request: RenewRequest = { publicKeys: publicKeysOf(pki), address: config.bindAddress }
  try {
    const { status, body } = await transport.request({
      method: 'POST',
      path: RENEW_PATH,
      headers: { 'content-type': 'application/json' },
      body: Buffer.from(JSON.stringify(request)),
      signal: AbortSignal.timeout(ANSWER_MS_MAX),
    })
    const chunks = body instanceof Uint8Array ? [body] : await Array.fromAsync(body)
    const answer = JSON.parse(Buffer.concat(chunks).toString('utf8')) as unknown
    if (status === OK) return answer as RenewAnswer
    const why = (answer as { error?: { message?: string } }).error?.message ?? `it answered ${status}`
    throw new Mk8sError('api/refused', `the server at ${host} does not renew the certificates`, { why })
  } finally {
    transport.close()
  }
}

function publicKeysOf({ leaves }: WorkerPki): WorkerKeys {
  const keys = WORKER_LEAVES.map(name => {
    const key = createPublicKey(leaves[name].key).export({ type: 'spki', format: 'pem' })
    return [name, key]
  })
  return Object.fromEntries(keys) as WorkerKeys
}

async function writeAnswer(directory: string, { certificates, authority }: RenewAnswer): Promise<void> {
  await writeFilesDurably([
    { path: join(directory, 'cluster-ca.crt'), text: authority, mode: 0o644 },
    ...WORKER_LEAVES.map(name => ({
      path: pairPaths(directory, name).certificate,
      text: certificates[name],
      mode: 0o644,
    })),
  ])
}
