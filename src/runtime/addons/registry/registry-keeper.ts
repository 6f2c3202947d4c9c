/**
 * What the leader does for the registry with `tls=cluster`: keeps its certificate in a Secret, by the cluster's own
 * authority, and has every node trust that one there.
 */
import { X509Certificate } from 'node:crypto'
import { isDeepStrictEqual } from 'node:util'
import { type BackoffConfig, backoffMs } from '../../../base/backoff.ts'
import type { Clock, Timer } from '../../../base/clock.ts'
import type { Component, Health } from '../../../base/component.ts'
import type { Log } from '../../../base/log.ts'
import type { Random } from '../../../base/random.ts'
import { Informer } from '../../../client/informer.ts'
import { isConflict, isNotFound, KubeClient } from '../../../client/kube-client.ts'
import { listRegistries, setRegistries } from '../../../client/registries.ts'
import { SECRETS, SERVICES } from '../../../client/resources.ts'
import type { Transport } from '../../../client/transport.ts'
import type { Node, Secret, Service } from '../../../kube/types.ts'
import { generateKey, issueLeaf, type PemPair } from '../../pki/issue.ts'
import { endOf, LEAF_DAYS, signerOf, validityFrom } from '../../pki/validity.ts'
import { ADDONS, type Addon, isEnabled, NAME_LABEL, type ParameterValues } from '../addon-object.ts'
import { type CertificateNames, CLUSTER_TLS, isGood, namesOf, trustDocument } from './plan-certificate.ts'
import { NAMESPACE, SERVICE } from './registry-settings.ts'

export interface RegistryKeeperParts {
  /** Speaks as a member of system:masters. */
  readonly transport: Transport
  /** Somebody else starts it. */
  readonly nodes: Informer<Node>
  readonly authority: () => PemPair
  readonly onAuthority: (listener: () => void) => () => void
  readonly clusterDomain: string
  readonly clock: Clock
  readonly random: Random
  readonly term: number
  readonly log: Log
}

const ADDON = 'registry'
const OWNER = 'registry'
/** Nodes come, and certificates are due, while nobody says so. */
const LOOK_MS = 30_000
/** Until the add-on's own objects are there. */
const SOON_MS = 500
const RETRY: BackoffConfig = { baseMs: 500, maxMs: 30_000 }

export function createRegistryKeeper(parts: RegistryKeeperParts): Component {
  return new RegistryKeeper(parts)
}

class RegistryKeeper implements Component {
  readonly name = 'registry'
  readonly #parts: RegistryKeeperParts
  readonly #client: KubeClient
  readonly #addons: Informer<Addon>
  readonly #stopping = new AbortController()
  #timer: Timer | null = null
  #problem = ''
  #failures = 0
  constructor(parts: RegistryKeeperParts) {
    this.#parts = parts
    const client = new KubeClient(parts.transport, { userAgent: 'mk8s/registry', term: parts.term })
    this.#client = client
    const { clock, random, log } = parts
    const fieldSelector = `metadata.name=${ADDON}`
    this.#addons = new Informer({ client, resource: ADDONS, fieldSelector, clock, random, log })
  }

  async prepare(): Promise<void> {}

  async start(): Promise<void> {
    const { signal } = this.#stopping
    signal.addEventListener(
      'abort',
      this.#parts.onAuthority(() => this.#later(0)),
    )
    this.#addons.onChange(() => this.#later(0))
    this.#addons.start(signal)
    void this.#addons.synced.then(() => this.#later(0))
  }

  async stop(): Promise<void> {
    this.#stopping.abort()
    this.#timer?.cancel()
  }

  health(): Health {
    return { ok: true, reason: this.#problem }
  }

  #later(ms: number): void {
    this.#timer?.cancel()
    if (this.#stopping.signal.aborted) return
    this.#timer = this.#parts.clock.after(ms, () => void this.#look())
  }

  async #look(): Promise<void> {
    try {
      const againMs = await this.#reconcile()
      this.#failures = 0
      this.#problem = ''
      if (againMs !== null) this.#later(againMs)
    } catch (error) {
      this.#failures += 1
      this.#problem = 'the certificate of the registry cannot be kept'
      if (!isConflict(error) && !this.#stopping.signal.aborted) this.#parts.log.warn(this.#problem, { error })
      this.#later(backoffMs(RETRY, this.#failures))
    }
  }

  /** Returns when to look again; null: once something changes. */
  async #reconcile(): Promise<number | null> {
    const addon = this.#addons.get(ADDON)
    const parameters = addon?.status?.parameters ?? {}
    if (addon === undefined || !isEnabled(addon) || parameters['tls'] !== CLUSTER_TLS) {
      await this.#withdraw()
      return null
    }
    const service = await orNull(this.#client.get<Service>(SERVICES, { namespace: NAMESPACE, name: SERVICE }))
    // Its address is in the certificate; both come with the add-on.
    if (service === null) return SOON_MS
    const { nodes, clusterDomain } = this.#parts
    const names = namesOf(nodes.list(), service, clusterDomain)
    await this.#tell(parameters, names)
    await this.#certify(names)
    return LOOK_MS
  }

  async #certify(names: CertificateNames): Promise<void> {
    const { clock, random, log } = this.#parts
    const authority = this.#parts.authority()
    const signer = signerOf(authority.certificate)
    const secret = await this.#secret()
    const before = certificateIn(secret)
    const nowMs = clock.now()
    if (before !== null && isGood(before, { authority: signer, names, nowMs })) return
    const key = generateKey()
    const certificate = await issueLeaf(
      { ...names, commonName: 'registry', usages: ['server'], uris: [] },
      { authority, key, random, validity: validityFrom(nowMs, LEAF_DAYS, endOf(signer)) },
    )
    await this.#write(secret, { 'tls.crt': certificate, 'tls.key': key, 'ca.crt': authority.certificate })
    log.info('the registry has a new certificate', {
      names: names.dnsNames.length + names.ipAddresses.length,
    })
  }

  #secret(): Promise<Secret | null> {
    return orNull(this.#client.get<Secret>(SECRETS, { namespace: NAMESPACE, name: CLUSTER_TLS }))
  }

  async #write(before: Secret | null, texts: Readonly<Record<string, string>>): Promise<void> {
    const encoded = Object.entries(texts).map(([name, text]) => [name, Buffer.from(text).toString('base64')])
    const data: Record<string, string> = Object.fromEntries(encoded)
    const labels = { 'app.kubernetes.io/managed-by': 'mk8s', [NAME_LABEL]: ADDON }
    if (before !== null) {
      const { resourceVersion } = before.metadata
      const patch = { metadata: { resourceVersion, labels }, data }
      const where = { namespace: NAMESPACE, name: CLUSTER_TLS }
      return void (await this.#client.patch(SECRETS, { ...where, type: 'merge', patch }))
    }
    const metadata = { name: CLUSTER_TLS, namespace: NAMESPACE, labels }
    const object = { apiVersion: 'v1', kind: 'Secret', type: 'kubernetes.io/tls', metadata, data }
    await this.#client.create(SECRETS, object, { namespace: NAMESPACE })
  }

  async #tell(parameters: ParameterValues, names: CertificateNames): Promise<void> {
    const document = trustDocument(parameters, names, this.#parts.authority().certificate)
    const { owners } = await listRegistries(this.#client)
    const before = owners.find(({ owner }) => owner === OWNER)?.document
    if (!isDeepStrictEqual(before, document)) await setRegistries(this.#client, OWNER, document)
  }

  /** Nodes speak to it without TLS again. */
  async #withdraw(): Promise<void> {
    const { owners } = await listRegistries(this.#client)
    if (owners.some(({ owner }) => owner === OWNER)) await setRegistries(this.#client, OWNER, null)
    const secret = await this.#secret()
    if (secret?.metadata.labels?.[NAME_LABEL] !== ADDON) return
    await orNull(this.#client.delete(SECRETS, { namespace: NAMESPACE, name: CLUSTER_TLS }))
  }
}

function certificateIn(secret: Secret | null): X509Certificate | null {
  const pem = Buffer.from(secret?.data?.['tls.crt'] ?? '', 'base64').toString('utf8')
  try {
    return new X509Certificate(pem)
  } catch {
    return null
  }
}

async function orNull<T>(asked: Promise<T>): Promise<T | null> {
  try {
    return await asked
  } catch (error) {
    if (isNotFound(error)) return null
    throw error
  }
}
