/**
 * The next certificate of an administrator, before the kept one ends: the cluster signs one with the same names for
 * whoever shows the present one. What fails is tried again a day later, and the kept one is used until it ends.
 */
import { X509Certificate } from 'node:crypto'
import { statSync } from 'node:fs'
import { join } from 'node:path'
import { type Clock, sleepAlive } from '../base/clock.ts'
import { messageOf } from '../base/errors.ts'
import { KubeClient } from '../client/kube-client.ts'
import { CERTIFICATE_SIGNING_REQUESTS } from '../client/resources.ts'
import type { Transport } from '../client/transport.ts'
import { makeDirectory, writeFileDurably } from '../host/files.ts'
import type { CertificateSigningRequest } from '../kube/types.ts'
import { generateKey } from '../runtime/pki/issue.ts'
import { makeSigningRequest } from '../runtime/pki/signing-requests.ts'
import { DAY_MS, endOf, startOf, WARN_BEFORE_MS } from '../runtime/pki/validity.ts'
import { type KeptParts, keepCredential } from './kept-credential.ts'
import { type ClientIdentity, type ClusterEntry, transportTo } from './kubeconfig.ts'

const SIGNER = 'mk8s.io/administrator'
/** A certificate is renewed in the last third of its life. */
const LAST_PART = 3
const SIGNED_MS_MAX = 5_000
const LOOK_MS = 100

export interface RenewalParts extends KeptParts {
  readonly clock: Clock
  /** Is told what the user should know. */
  readonly warn: (what: string) => void
}

/** The identity, or the one that has just taken its place. */
export async function renewedIdentity(
  name: string,
  identity: ClientIdentity,
  cluster: ClusterEntry,
  parts: RenewalParts,
): Promise<ClientIdentity> {
  const present = new X509Certificate(identity.certificate)
  const nowMs = parts.clock.now()
  const left = endOf(present) - nowMs
  if (left > (endOf(present) - startOf(present)) / LAST_PART || wasTried(name, parts)) return identity
  const transport = transportTo(cluster, identity)
  try {
    const next = await askForNext(transport, present, parts.clock)
    await keepCredential(name, next, parts)
    return next
  } catch (error) {
    rememberTry(name, parts)
    if (left < WARN_BEFORE_MS)
      parts.warn(
        `The certificate ends on ${new Date(endOf(present)).toISOString()} and cannot be renewed: ${messageOf(error)}`,
      )
    return identity
  } finally {
    transport.close()
  }
}

async function askForNext(
  transport: Transport,
  present: X509Certificate,
  clock: Clock,
): Promise<ClientIdentity> {
  const client = new KubeClient(transport)
  const key = generateKey()
  const subject = present.toLegacyObject().subject as unknown as Record<string, string | string[]>
  const request = await makeSigningRequest(
    { commonName: String(subject['CN']), organizations: [subject['O'] ?? []].flat() },
    key,
  )
  const made = await client.create<CertificateSigningRequest>(CERTIFICATE_SIGNING_REQUESTS, {
    apiVersion: 'certificates.k8s.io/v1',
    kind: 'CertificateSigningRequest',
    metadata: { generateName: 'administrator-' },
    spec: {
      request: Buffer.from(request).toString('base64'),
      signerName: SIGNER,
      usages: ['digital signature', 'client auth'],
    },
  })
  const certificate = await signed(client, made.metadata.name ?? '', clock)
  return { certificate, key }
}

async function signed(client: KubeClient, name: string, clock: Clock): Promise<string> {
  const deadline = clock.monotonic() + SIGNED_MS_MAX
  for (;;) {
    const { status } = await client.get<CertificateSigningRequest>(CERTIFICATE_SIGNING_REQUESTS, { name })
    if (status?.certificate) return Buffer.from(status.certificate, 'base64').toString('utf8')
    const failed = status?.conditions?.find(({ type }) => type === 'Failed' || type === 'Denied')
    if (failed !== undefined) throw new Error(failed.message ?? failed.type)
    if (clock.monotonic() >= deadline) throw new Error('the cluster does not sign it')
    await sleepAlive(clock, LOOK_MS)
  }
}

const triedPath = (name: string, { directory }: KeptParts): string =>
  join(directory, 'credentials', `${name}.tried`)

function wasTried(name: string, parts: RenewalParts): boolean {
  const at = statSync(triedPath(name, parts), { throwIfNoEntry: false })?.mtimeMs
  return at !== undefined && parts.clock.now() - at < DAY_MS
}

function rememberTry(name: string, parts: RenewalParts): void {
  makeDirectory(join(parts.directory, 'credentials'), 0o700)
  writeFileDurably(triedPath(name, parts), '', 0o600)
}
