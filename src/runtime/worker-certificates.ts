/** A worker's certificates: it shows its present one to any server, and gets new ones for the same keys. */
import { createPublicKey, X509Certificate } from 'node:crypto'
import { join } from 'node:path'
import type { Clock } from '../base/clock.ts'
import { Mk8sError } from '../base/errors.ts'
import type { Log } from '../base/log.ts'
import { askServer, refusalIn, type ServerCredentials } from '../client/server-call.ts'
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

/** As whom a worker asks a server. The key is secret. */
export function credentialsOf({ clusterAuthority, leaves }: WorkerPki): ServerCredentials {
  const { certificate, key } = leaves['kubelet-client']
  return { caPem: clusterAuthority, certificatePem: certificate, keyPem: key }
}

async function ask(server: MemberAddress, pki: WorkerPki, config: NodeConfig): Promise<RenewAnswer> {
  const body: RenewRequest = { publicKeys: publicKeysOf(pki), address: config.bindAddress }
  const signal = AbortSignal.timeout(ANSWER_MS_MAX)
  const answered = await askServer(server, credentialsOf(pki), {
    method: 'POST',
    path: RENEW_PATH,
    body,
    signal,
  })
  if (answered.status === OK) return answered.answer as RenewAnswer
  const why = refusalIn(answered).message
  throw new Mk8sError('api/refused', `the server at ${server.host} does not renew the certificates`, { why })
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
