/**
 * Has drivers prepare the devices of a pod's claims before its sandbox is made, and undo it when nothing of the pod
 * runs any more. What was asked of drivers is written down before they are asked, so that it is undone in any case.
 */
import { mkdirSync, readFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { messageOf, systemCodeOf } from '../../../base/errors.ts'
import type { Log } from '../../../base/log.ts'
import type { KubeClient } from '../../../client/kube-client.ts'
import { RESOURCE_CLAIMS } from '../../../client/resources.ts'
import { writeFileDurably } from '../../../host/files.ts'
import {
  claimReferencesOf,
  isReservedFor,
  notMadeYet,
  ownerProblem,
} from '../../../kube/devices/pod-claims.ts'
import type { Container, Pod, ResourceClaim } from '../../../kube/types.ts'
import type { DraPlugins } from './dra-plugins.ts'
import {
  type ClaimRecord,
  devicesFor,
  type GivenDevice,
  healthStatuses,
  isOf,
  newRecord,
} from './plan-claims.ts'

export interface ClaimManagerParts {
  readonly client: KubeClient
  readonly plugins: Pick<DraPlugins, 'driver' | 'healthOf'>
  /** `<data-dir>/dra_manager_state`. */
  readonly path: string
  /** Pods that may still use what they have; null while they are not known yet. */
  readonly livePods: () => ReadonlySet<string> | null
  readonly log: Log
}

export class ClaimManager {
  readonly #parts: ClaimManagerParts
  #records: readonly ClaimRecord[] = []
  /** One step after the other for each claim, so that nobody undoes what another pod relies on. */
  readonly #turns = new Map<string, Promise<unknown>>()

  constructor(parts: ClaimManagerParts) {
    this.#parts = parts
    this.#load()
  }

  /** Nothing to do for a pod without claims. Throws when a claim is not the pod's, or a driver is not there. */
  async prepare(pod: Pod): Promise<void> {
    const claims = await this.#claimsOf(pod)
    const fresh = claims.map(newRecord)
    // All drivers have to be there before anything is written down, or the pod could not end without them.
    for (const { devices } of fresh)
      for (const driver of Object.keys(devices)) this.#parts.plugins.driver(driver)
    for (const record of fresh)
      await this.#inTurn(record.uid, () => this.#prepareOne(record, pod.metadata.uid ?? ''))
  }

  /** Nothing of the pod runs any more. */
  async unprepare(podUid: string): Promise<void> {
    const own = this.#records.filter(({ pods }) => pods.includes(podUid))
    for (const { uid } of own) await this.#inTurn(uid, () => this.#unprepareOne(uid, podUid))
  }

  uses(podUid: string): boolean {
    return this.#records.some(({ pods }) => pods.includes(podUid))
  }

  /** Claims of pods that are gone since. */
  async reconcile(): Promise<void> {
    const live = this.#parts.livePods()
    if (live === null) return
    const gone = new Set(this.#records.flatMap(({ pods }) => pods)).difference(live)
    for (const uid of gone) {
      await this.unprepare(uid).catch(error =>
        this.#parts.log.info('the claims of a pod that is gone are still prepared', {
          pod: uid,
          error: messageOf(error),
        }),
      )
    }
  }

  /** What was prepared so far of what the container asks for. */
  preparedFor(pod: Pod, container: Container): readonly GivenDevice[] {
    return devicesFor(pod, container, this.#records) ?? []
  }

  /** Of the devices of a container's claims. */
  healthOf(pod: Pod, container: Container): ReturnType<typeof healthStatuses> {
    const { plugins } = this.#parts
    return healthStatuses(pod, container, this.#records, (...device) => plugins.healthOf(...device))
  }

  /** Throws when a claim of the container was never prepared here. */
  cdiDevicesOf(pod: Pod, container: Container): readonly string[] {
    const found = devicesFor(pod, container, this.#records)
    if (found === null)
      throw new Error(`claims of the container ${container.name} are not prepared on this node`)
    return [...new Set(found.flatMap(({ device }) => device.cdiDeviceIds))]
  }

  async #claimsOf(pod: Pod): Promise<readonly ResourceClaim[]> {
    const claims: ResourceClaim[] = []
    for (const { name, isOwned } of claimReferencesOf(pod)) {
      if (name === undefined) throw new Error(notMadeYet(pod))
      if (name !== null) claims.push(await this.#claimFor(pod, name, isOwned))
    }
    const extended = pod.status?.extendedResourceClaimStatus?.resourceClaimName
    if (extended !== undefined) claims.push(await this.#claimFor(pod, extended, false))
    return claims
  }

  async #claimFor(pod: Pod, name: string, isOwned: boolean): Promise<ResourceClaim> {
    const { namespace } = pod.metadata
    const claim = await this.#parts.client
      .get<ResourceClaim>(RESOURCE_CLAIMS, { namespace, name })
      .catch(error => {
        throw new Error(`fetch ResourceClaim ${name}: ${messageOf(error)}`, { cause: error })
      })
    const problem = isOwned ? ownerProblem(claim, pod) : null
    if (problem !== null) throw new Error(problem)
    if (!isReservedFor(claim, pod)) {
      const who = `pod ${pod.metadata.name} (${pod.metadata.uid})`
      throw new Error(`${who} is not allowed to use ResourceClaim ${name} (${claim.metadata.uid})`)
    }
    if (!claim.status?.allocation) throw new Error(`ResourceClaim ${name}: not allocated`)
    const known = this.#records.find(record => isOf(record, pod, name))
    if (known !== undefined && known.uid !== claim.metadata.uid) {
      const old = `old ResourceClaim with same name ${name} and different UID ${known.uid}`
      throw new Error(`${old} still exists (previous pod force-deleted?!)`)
    }
    return claim
  }

  async #prepareOne(fresh: ClaimRecord, podUid: string): Promise<void> {
    const known = this.#find(fresh.uid) ?? fresh
    const pods = known.pods.includes(podUid) ? known.pods : [...known.pods, podUid]
    this.#put({ ...known, pods })
    if (known.isPrepared) return
    const devices: Record<string, ClaimRecord['devices'][string]> = {}
    for (const driver of Object.keys(fresh.devices))
      devices[driver] = await this.#parts.plugins.driver(driver).prepare(nameOf(fresh))
    const now = this.#find(fresh.uid)
    if (now !== undefined) this.#put({ ...now, devices, isPrepared: true })
  }

  async #unprepareOne(uid: string, podUid: string): Promise<void> {
    const record = this.#find(uid)
    if (record === undefined) return
    const pods = record.pods.filter(each => each !== podUid)
    if (pods.length > 0) {
      this.#put({ ...record, pods })
      return
    }
    for (const driver of Object.keys(record.devices))
      await this.#parts.plugins.driver(driver).unprepare(nameOf(record))
    this.#save(this.#records.filter(each => each.uid !== uid))
  }

  #find(uid: string): ClaimRecord | undefined {
    return this.#records.find(each => each.uid === uid)
  }

  #put(record: ClaimRecord): void {
    this.#save([...this.#records.filter(({ uid }) => uid !== record.uid), record])
  }

  async #inTurn(uid: string, work: () => Promise<void>): Promise<void> {
    const turn = (this.#turns.get(uid) ?? Promise.resolve()).then(work, work)
    this.#turns.set(uid, turn)
    try {
      await turn
    } finally {
      if (this.#turns.get(uid) === turn) this.#turns.delete(uid)
    }
  }

  #load(): void {
    try {
      this.#records = (JSON.parse(readFileSync(this.#parts.path, 'utf8')) as Saved).claims
    } catch (error) {
      if (systemCodeOf(error) !== 'ENOENT')
        this.#parts.log.warn('which claims are prepared cannot be read', { error: messageOf(error) })
    }
  }

  #save(claims: readonly ClaimRecord[]): void {
    const { path } = this.#parts
    mkdirSync(dirname(path), { recursive: true, mode: 0o750 })
    writeFileDurably(path, JSON.stringify({ claims } satisfies Saved), 0o600)
    this.#records = claims
  }
}

interface Saved {
  readonly claims: readonly ClaimRecord[]
}

const nameOf = ({ namespace, name, uid }: ClaimRecord) => ({ namespace, name, uid })
