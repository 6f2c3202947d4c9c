/**
 * The part `ingress`: every node follows what routes are made of, reads the certificates that the leader lists, and
 * tells its routing's thread.
 */
import { X509Certificate } from 'node:crypto'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { Timer } from '../../../base/clock.ts'
import type { Health } from '../../../base/component.ts'
import { eachAtOnce } from '../../../base/each-at-once.ts'
import { messageOf } from '../../../base/errors.ts'
import { Informer } from '../../../client/informer.ts'
import { isNotFound } from '../../../client/kube-client.ts'
import { CONFIG_MAPS, SECRETS } from '../../../client/resources.ts'
import type { KubeObject } from '../../../kube/object.ts'
import type { ConfigMap, Secret } from '../../../kube/types.ts'
import { IngressThread } from '../../ingress/ingress-thread.ts'
import type { Change } from '../../ingress/messages.ts'
import { CERTIFICATE_LIST, readList } from '../../ingress/referenced-certificates.ts'
import { type Certificate, WORLD_KINDS, WORLD_RESOURCES } from '../../ingress/world.ts'
import { readIfThere, writeFilesDurably } from '../../pki/files.ts'
import { issueSelfSigned } from '../../pki/issue.ts'
import { DAY_MS, LEAF_DAYS, validityFrom } from '../../pki/validity.ts'
import type { ParameterValues } from '../addon-object.ts'
import type { Part, PartContext, RunningPart } from '../part.ts'
import { INGRESS_ADDON, ingressSettings, loopbackPods } from './ingress-settings.ts'

export const ingressPart: Part = {
  name: INGRESS_ADDON,
  async start(context, parameters): Promise<RunningPart> {
    const keeper = new IngressKeeper(context)
    await keeper.start(parameters)
    return { health: () => keeper.health(), stop: () => keeper.stop() }
  },
}

/** Gateways' definitions are made by the add-on itself, a moment later; routes of Ingresses do not wait for them. */
const NEEDED = ['ingresses', 'ingressClasses', 'services', 'slices'] as const
const READ_AGAIN_MS = 5_000
const RENEW_BEFORE_MS = 30 * DAY_MS
const READS_AT_ONCE = 8

class IngressKeeper {
  readonly #context: PartContext
  readonly #aborter = new AbortController()
  readonly #informers: ReadonlyMap<string, Informer<KubeObject>>
  readonly #list: Informer<ConfigMap>
  readonly #certificates = new Map<string, { readonly version: string; readonly certificate: Certificate }>()
  #thread: IngressThread | null = null
  #reading: Promise<void> | null = null
  #isListChanged = false
  #timer: Timer | null = null
  #problem = ''

  constructor(context: PartContext) {
    this.#context = context
    const { client, clock, random, log } = context
    const common = { client, clock, random, log }
    this.#informers = new Map(
      WORLD_KINDS.map(kind => {
        const resource = WORLD_RESOURCES[kind]
        // Of namespaces only labels are asked for.
        const metadataOnly = kind === 'namespaces'
        return [kind, new Informer<KubeObject>({ ...common, resource, metadataOnly })]
      }),
    )
    const { namespace, name } = CERTIFICATE_LIST
    const fieldSelector = `metadata.name=${name}`
    this.#list = new Informer<ConfigMap>({ ...common, resource: CONFIG_MAPS, namespace, fieldSelector })
  }

  async start(parameters: ParameterValues): Promise<void> {
    const { signal } = this.#aborter
    const own = await this.#ownCertificate()
    const { runtime, cluster } = this.#context
    const settings = ingressSettings(parameters, {
      loopbackPods: loopbackPods(runtime, cluster.podCidr),
      clusterDomain: cluster.clusterDomain,
    })
    for (const [kind, informer] of this.#informers) {
      informer.onChange((key, next) => this.#thread?.change([kind, key, next] as Change))
      informer.start(signal)
    }
    this.#list.onChange(() => this.#read())
    this.#list.start(signal)
    void Promise.all(NEEDED.map(kind => this.#informers.get(kind)?.synced)).then(() => {
      if (signal.aborted) return
      const { clock, log, nodeAddress } = this.#context
      // A node that lives on loopback has neighbours there, which want the same ports.
      const address = nodeAddress.startsWith('127.') ? nodeAddress : ''
      this.#thread = new IngressThread({ settings, address, own, world: () => this.#world(), clock, log })
      this.#certify()
      this.#read()
    })
  }

  health(): Health {
    const problem =
      this.#thread === null ? 'it has not read the routes yet' : this.#thread.problem || this.#problem
    // A Gateway's port that is somebody else's is its owner's business, and told there; all the rest works.
    return { ok: problem === '', reason: problem || (this.#thread?.closedPorts ?? '') }
  }

  async stop(): Promise<void> {
    this.#aborter.abort()
    this.#timer?.cancel()
    await this.#reading
    await this.#thread?.stop()
  }

  #world(): Change[] {
    return WORLD_KINDS.flatMap(kind => {
      const objects = this.#informers.get(kind)?.list() ?? []
      return objects.map(object => [kind, keyOf(object), object] as const)
    })
  }

  /** Made once and kept until it is about to end. */
  async #ownCertificate(): Promise<Certificate> {
    const { directory, clock, random } = this.#context
    const [certificatePath, keyPath] = [join(directory, 'default.crt'), join(directory, 'default.key')]
    const [certificate, key] = [await readIfThere(certificatePath), await readIfThere(keyPath)]
    if (certificate !== null && key !== null && livesOn(certificate, clock.now())) return { certificate, key }
    const plan = { commonName: 'mk8s ingress default certificate', dnsNames: ['ingress.local'] }
    const made = await issueSelfSigned(plan, validityFrom(clock.now(), LEAF_DAYS), random)
    await mkdir(directory, { recursive: true, mode: 0o700 })
    await writeFilesDurably([
      { path: keyPath, text: made.key, mode: 0o600 },
      { path: certificatePath, text: made.certificate, mode: 0o600 },
    ])
    return made
  }

  #read(): void {
    this.#isListChanged = true
    if (this.#aborter.signal.aborted) return
    this.#reading ??= this.#readCertificates().finally(() => {
      this.#reading = null
      if (this.#isListChanged) this.#read()
    })
  }

  /** What cannot be read stays as it was, and is asked for again. */
  async #readCertificates(): Promise<void> {
    this.#isListChanged = false
    const wanted = readList(this.#list.list()[0]?.data)
    for (const name of this.#certificates.keys()) if (!(name in wanted)) this.#certificates.delete(name)
    const stale = Object.entries(wanted).filter(
      ([name, version]) => this.#certificates.get(name)?.version !== version,
    )
    let problem = ''
    await eachAtOnce(stale, READS_AT_ONCE, async ([name, version]) => {
      try {
        const certificate = await this.#readOne(name)
        if (certificate === null) this.#certificates.delete(name)
        else this.#certificates.set(name, { version, certificate })
      } catch (error) {
        problem = `Secret ${name} cannot be read: ${messageOf(error)}`
      }
    })
    this.#problem = problem
    this.#certify()
    this.#timer?.cancel()
    if (problem !== '') this.#timer = this.#context.clock.after(READ_AGAIN_MS, () => this.#read())
  }

  async #readOne(secret: string): Promise<Certificate | null> {
    const [namespace, name = ''] = secret.split('/')
    try {
      const { data } = await this.#context.client.get<Secret>(SECRETS, { namespace, name })
      const text = (key: string) => Buffer.from(data?.[key] ?? '', 'base64').toString('utf8')
      return { certificate: text('tls.crt'), key: text('tls.key') }
    } catch (error) {
      if (isNotFound(error)) return null
      throw error
    }
  }

  #certify(): void {
    this.#thread?.certify([...this.#certificates].map(([name, { certificate }]) => [name, certificate]))
  }
}

const keyOf = ({ metadata: { namespace, name } }: KubeObject): string =>
  namespace ? `${namespace}/${name}` : (name ?? '')

function livesOn(certificate: string, nowMs: number): boolean {
  try {
    return Date.parse(new X509Certificate(certificate).validTo) - nowMs > RENEW_BEFORE_MS
  } catch {
    return false
  }
}
