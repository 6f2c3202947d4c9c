/**
 * Mounts of CSI volumes: staged once for the node, published for each pod. What is mounted is written down beside
 * the mount, so that a kubelet that was killed can take it away.
 */
import { createHash } from 'node:crypto'
import { mkdir, rm, rmdir } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { mountsBelow } from '../../../host/mounts.ts'
import { type CsiCredentials, TOKENS_KEY } from './csi-credentials.ts'
import type { CsiDriver, PublishRequest, VolumeStats } from './csi-driver.ts'
import type { CsiPlugins } from './csi-plugins.ts'
import {
  type CsiRecord,
  isSameVolume,
  readRecord,
  recordDirectory,
  recordsOfAll,
  recordsOfPod,
  targetOf,
  writeRecord,
} from './csi-records.ts'
import { type CsiVolume, capabilityOf } from './csi-volume.ts'

export interface CsiMountsParts {
  readonly plugins: Pick<CsiPlugins, 'driver' | 'refresh'>
  readonly credentials: CsiCredentials
  /** `<data-dir>/pods`. */
  readonly pods: string
  /** `<data-dir>/plugins/kubernetes.io/csi`. */
  readonly staging: string
  /** Says on the Node which volumes must not be detached. */
  readonly report: (names: readonly string[]) => Promise<unknown>
}

export class CsiMounts {
  readonly #parts: CsiMountsParts
  /** One step at a time for each volume: its last user may go while another one comes. */
  readonly #lines = new Map<string, Promise<unknown>>()
  #reporting: Promise<unknown> = Promise.resolve()

  constructor(parts: CsiMountsParts) {
    this.#parts = parts
  }

  /** Where the volume is for the pod whose directory this is: a directory, or a device. */
  pathOf(podDirectory: string, name: string, volume: Pick<CsiVolume, 'isBlock'>): string {
    if (!volume.isBlock) return join(recordDirectory(podDirectory, name, false), 'mount')
    return join(this.#parts.staging, 'volumeDevices/publish', name, basename(podDirectory))
  }

  /** Whether the driver has to be told on the node that a volume has grown. */
  expands(volume: Pick<CsiVolume, 'driver'>): boolean {
    return this.#parts.plugins.driver(volume.driver)?.expands === true
  }

  /** Whether the driver gives the files to the pod's group by itself. */
  mountsGroup(volume: Pick<CsiVolume, 'driver'>): boolean {
    return this.#parts.plugins.driver(volume.driver)?.skills.mountsGroup === true
  }

  /** Has CSINode say how many volumes the driver can attach by now. */
  askLimit(driver: string): Promise<void> {
    return this.#parts.plugins.refresh(driver)
  }

  publish(volume: CsiVolume, podDirectory: string, name: string): Promise<void> {
    return this.#inLine(volume, async () => {
      const driver = this.#driver(volume.driver)
      const staged = driver.stages && !volume.isInline ? this.#stagingPath(volume) : null
      const target = this.pathOf(podDirectory, name, volume)
      const { driver: own, handle, isInline } = volume
      const record: CsiRecord = { driver: own, handle, staged, isInline, target }
      await writeRecord(recordDirectory(podDirectory, name, volume.isBlock), record)
      await mkdir(dirname(target), { recursive: true, mode: 0o750 })
      await this.#say()
      if (staged !== null) await this.#stage(driver, volume, staged)
      await this.#publish(driver, volume, { staged, target })
    })
  }

  /** Has what the driver put there renewed; nothing happens once the pod has let go of the volume. */
  republish(volume: CsiVolume, podDirectory: string, name: string): Promise<void> {
    return this.#inLine(volume, async () => {
      const record = await readRecord(recordDirectory(podDirectory, name, volume.isBlock))
      if (record === null) return
      const target = this.pathOf(podDirectory, name, volume)
      await this.#publish(this.#driver(volume.driver), volume, { staged: record.staged, target })
    })
  }

  /** The volume has become larger behind the driver's back; false once the pod has let go of it. */
  async expand(volume: CsiVolume, podDirectory: string, name: string, bytes: number): Promise<boolean> {
    let isDone = false
    await this.#inLine(volume, async () => {
      const record = await readRecord(recordDirectory(podDirectory, name, volume.isBlock))
      if (record === null) return
      const driver = this.#driver(volume.driver)
      await driver.expand({
        volumeId: volume.handle,
        volumePath: this.pathOf(podDirectory, name, volume),
        stagingTargetPath: record.staged ?? '',
        capacityRange: { requiredBytes: bytes },
        volumeCapability: capabilityOf(volume, driver.skills),
        secrets: await this.#parts.credentials.secretOf(volume.secrets.expand, 'NodeExpandSecretRef'),
      })
      isDone = true
    })
    return isDone
  }

  /** What the pod's volumes use, by their names among its directories; without those whose driver does not say. */
  async statsOf(podDirectory: string): Promise<ReadonlyMap<string, VolumeStats>> {
    const stats = new Map<string, VolumeStats>()
    for (const found of await recordsOfPod(podDirectory)) {
      const { driver, handle, staged } = found.record
      const known = this.#parts.plugins.driver(driver)
      if (known?.tellsUsage !== true) continue
      const request = { volumeId: handle, volumePath: targetOf(found), stagingTargetPath: staged ?? '' }
      const answer = await known.stats(request).catch(() => null)
      if (answer !== null) stats.set(basename(found.path), answer)
    }
    return stats
  }

  /** Takes away what the pod has of any driver; throws as long as a driver does not help. */
  async unpublishAll(podDirectory: string): Promise<void> {
    for (const found of await recordsOfPod(podDirectory)) {
      const { record, path } = found
      await this.#inLine(record, async () => {
        const driver = this.#driver(record.driver)
        const target = targetOf(found)
        await driver.unpublish(record.handle, target)
        const isLast = !(await this.#records()).some(
          each => each.path !== path && isSameVolume(each.record, record),
        )
        if (record.staged !== null && isLast) {
          await driver.unstage(record.handle, record.staged)
          await removeUnmounted(record.staged)
          await rmdir(dirname(record.staged)).catch(() => {})
        }
        if (isLast) await this.#say(record)
        await removeUnmounted(path)
        await rmdir(dirname(target)).catch(() => {})
      })
    }
  }

  async #stage(driver: CsiDriver, volume: CsiVolume, staged: string): Promise<void> {
    const secrets = await this.#parts.credentials.secretOf(volume.secrets.stage, 'NodeStageSecretRef')
    await mkdir(staged, { recursive: true, mode: 0o750 })
    await driver.stage({ ...requestOf(volume, driver), secrets, stagingTargetPath: staged })
  }

  async #publish(
    driver: CsiDriver,
    volume: CsiVolume,
    { staged, target }: { readonly staged: string | null; readonly target: string },
  ): Promise<void> {
    const { credentials } = this.#parts
    const secrets = await credentials.secretOf(volume.secrets.publish, 'NodePublishSecretRef')
    const tokens = await credentials.tokensOf(volume.tokens)
    const told = tokens === null ? {} : { [TOKENS_KEY]: tokens }
    const inSecrets = volume.tokens?.inSecrets === true
    const request = requestOf(volume, driver)
    await driver.publish({
      ...request,
      volumeContext: { ...request.volumeContext, ...volume.podContext, ...(inSecrets ? {} : told) },
      secrets: { ...secrets, ...(inSecrets ? told : {}) },
      ...(staged === null ? {} : { stagingTargetPath: staged }),
      ...{ targetPath: target, readonly: volume.readOnly },
    })
  }

  #driver(name: string): CsiDriver {
    const driver = this.#parts.plugins.driver(name)
    if (driver !== undefined) return driver
    throw new Error(`driver name ${name} not found in the list of registered CSI drivers`)
  }

  #stagingPath({ driver, handle, isBlock, name }: CsiVolume): string {
    const { staging } = this.#parts
    if (isBlock) return join(staging, 'volumeDevices/staging', name)
    const hash = createHash('sha256').update(handle).digest('hex')
    return join(staging, driver, hash, 'globalmount')
  }

  /** One after the other, so that the last word is the latest. `gone` is not in use any more. */
  #say(gone?: CsiRecord): Promise<unknown> {
    const said = this.#reporting
      .catch(() => {})
      .then(async () => {
        const records = (await this.#records()).map(({ record }) => record)
        const used = records.filter(record => !record.isInline && !(gone && isSameVolume(record, gone)))
        await this.#parts.report([...new Set(used.map(uniqueName))].sort())
      })
    this.#reporting = said
    return said
  }

  #records() {
    return recordsOfAll(this.#parts.pods)
  }

  #inLine(volume: Pick<CsiRecord, 'driver' | 'handle'>, work: () => Promise<void>): Promise<void> {
    const key = JSON.stringify([volume.driver, volume.handle])
    const before = this.#lines.get(key) ?? Promise.resolve()
    const done = before.catch(() => {}).then(work)
    this.#lines.set(key, done)
    return done.finally(() => {
      if (this.#lines.get(key) === done) this.#lines.delete(key)
    })
  }
}

/** The name that the attach-detach controller looks for. */
const uniqueName = ({ driver, handle }: CsiRecord): string => `kubernetes.io/csi/${driver}^${handle}`

function requestOf(volume: CsiVolume, driver: CsiDriver): Omit<PublishRequest, 'secrets'> {
  return {
    volumeId: volume.handle,
    publishContext: volume.publishContext,
    volumeContext: volume.context,
    volumeCapability: capabilityOf(volume, driver.skills),
  }
}

/** A driver that says it has unmounted what it has not must not cost anybody data. */
async function removeUnmounted(path: string): Promise<void> {
  const [left] = mountsBelow([path])
  if (left !== undefined) throw new Error(`${left} is still mounted`)
  await rm(path, { recursive: true, force: true })
}
