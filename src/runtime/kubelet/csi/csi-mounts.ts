/**
 * Mounts of CSI volumes: staged once for the node, published for each pod. What is mounted is written down beside
 * the mount, so that a kubelet that was killed can take it away.
 */
import { createHash } from 'node:crypto'
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { CsiDriver, PublishRequest } from './csi-driver.ts'
import type { CsiPlugins } from './csi-plugins.ts'

export interface CsiVolume {
  readonly driver: string
  readonly handle: string
  readonly fsType: string
  readonly mountFlags: readonly string[]
  readonly accessModes: readonly string[]
  readonly readOnly: boolean
  /** What the volume and the pod have to say to the driver. */
  readonly context: Readonly<Record<string, string>>
  /** What the controller's part of the driver said when it attached the volume. */
  readonly publishContext: Readonly<Record<string, string>>
  /** It lives as long as the pod, and is never staged. */
  readonly isInline: boolean
}

interface Written {
  readonly driver: string
  readonly handle: string
  readonly staged: string | null
  readonly isInline: boolean
}

const RECORD = 'vol_data.json'
const FOLDER = 'kubernetes.io~csi'
const MODES: Readonly<Record<string, string>> = {
  ReadWriteOnce: 'SINGLE_NODE_WRITER',
  ReadWriteOncePod: 'SINGLE_NODE_WRITER',
  ReadOnlyMany: 'MULTI_NODE_READER_ONLY',
  ReadWriteMany: 'MULTI_NODE_MULTI_WRITER',
}

export class CsiMounts {
  readonly #plugins: Pick<CsiPlugins, 'driver'>
  readonly #pods: string
  readonly #staging: string
  /** One step at a time for each volume: its last user may go while another one comes. */
  readonly #lines = new Map<string, Promise<unknown>>()
  readonly #report: (names: readonly string[]) => Promise<unknown>
  #reporting: Promise<unknown> = Promise.resolve()

  /** `pods` is `<data-dir>/pods`, `staging` `<data-dir>/plugins/kubernetes.io/csi`. */
  constructor(parts: {
    readonly plugins: Pick<CsiPlugins, 'driver'>
    readonly pods: string
    readonly staging: string
    /** Says on the Node which volumes must not be detached. */
    readonly report: (names: readonly string[]) => Promise<unknown>
  }) {
    this.#plugins = parts.plugins
    this.#pods = parts.pods
    this.#staging = parts.staging
    this.#report = parts.report
  }

  /** Where the volume is mounted for the pod whose directory this is. */
  static pathOf(podDirectory: string, name: string): string {
    return join(podDirectory, 'volumes', FOLDER, name, 'mount')
  }

  publish(volume: CsiVolume, target: string): Promise<void> {
    return this.#inLine(volume, async () => {
      const driver = this.#driver(volume.driver)
      const staged = driver.stages && !volume.isInline ? this.#stagingPath(volume) : null
      const { driver: name, handle, isInline } = volume
      const record: Written = { driver: name, handle, staged, isInline }
      await mkdir(dirname(target), { recursive: true, mode: 0o750 })
      await writeFile(join(dirname(target), RECORD), JSON.stringify(record))
      await this.#say()
      const request = requestOf(volume)
      if (staged !== null) {
        await mkdir(staged, { recursive: true, mode: 0o750 })
        await driver.stage({ ...request, stagingTargetPath: staged })
      }
      await driver.publish({
        ...request,
        ...(staged === null ? {} : { stagingTargetPath: staged }),
        ...{ targetPath: target, readonly: volume.readOnly },
      })
    })
  }

  /** Takes away what the pod has of any driver; throws as long as a driver does not help. */
  async unpublishAll(podDirectory: string): Promise<void> {
    const folder = join(podDirectory, 'volumes', FOLDER)
    for (const name of await readdir(folder).catch(() => [])) {
      const record = await readRecord(join(folder, name))
      if (record === null) continue
      await this.#inLine(record, async () => {
        const driver = this.#driver(record.driver)
        await driver.unpublish(record.handle, join(folder, name, 'mount'))
        const own = join(folder, name)
        const isLast = !(await this.#records()).some(each => each.path !== own && isSame(each.record, record))
        if (record.staged !== null && isLast) {
          await driver.unstage(record.handle, record.staged)
          await rm(dirname(record.staged), { recursive: true, force: true })
        }
        if (isLast) await this.#say(record)
        await rm(own, { recursive: true, force: true })
      })
    }
  }

  #driver(name: string): CsiDriver {
    const driver = this.#plugins.driver(name)
    if (driver !== undefined) return driver
    throw new Error(`driver name ${name} not found in the list of registered CSI drivers`)
  }

  #stagingPath({ driver, handle }: Pick<CsiVolume, 'driver' | 'handle'>): string {
    const hash = createHash('sha256').update(handle).digest('hex')
    return join(this.#staging, driver, hash, 'globalmount')
  }

  /** One after the other, so that the last word is the latest. `gone` is not in use any more. */
  #say(gone?: Written): Promise<unknown> {
    const said = this.#reporting
      .catch(() => {})
      .then(async () => {
        const records = (await this.#records()).map(({ record }) => record)
        const used = records.filter(record => !record.isInline && !(gone && isSame(record, gone)))
        await this.#report([...new Set(used.map(uniqueName))].sort())
      })
    this.#reporting = said
    return said
  }

  async #records(): Promise<{ readonly path: string; readonly record: Written }[]> {
    const found: { path: string; record: Written }[] = []
    for (const pod of await readdir(this.#pods).catch(() => [])) {
      const folder = join(this.#pods, pod, 'volumes', FOLDER)
      for (const name of await readdir(folder).catch(() => [])) {
        const path = join(folder, name)
        const record = await readRecord(path)
        if (record !== null) found.push({ path, record })
      }
    }
    return found
  }

  #inLine(volume: Pick<Written, 'driver' | 'handle'>, work: () => Promise<void>): Promise<void> {
    const key = JSON.stringify([volume.driver, volume.handle])
    const before = this.#lines.get(key) ?? Promise.resolve()
    const done = before.catch(() => {}).then(work)
    this.#lines.set(key, done)
    return done.finally(() => {
      if (this.#lines.get(key) === done) this.#lines.delete(key)
    })
  }
}

const isSame = (a: Written, b: Written): boolean => a.driver === b.driver && a.handle === b.handle

/** The name that the attach-detach controller looks for. */
const uniqueName = ({ driver, handle }: Written): string => `kubernetes.io/csi/${driver}^${handle}`

function requestOf(volume: CsiVolume): PublishRequest {
  const mode = MODES[volume.accessModes[0] ?? 'ReadWriteOnce'] ?? 'SINGLE_NODE_WRITER'
  return {
    volumeId: volume.handle,
    publishContext: volume.publishContext,
    volumeContext: volume.context,
    volumeCapability: {
      mount: { fsType: volume.fsType, mountFlags: volume.mountFlags },
      accessMode: { mode },
    },
  }
}

async function readRecord(directory: string): Promise<Written | null> {
  const text = await readFile(join(directory, RECORD), 'utf8').catch(() => null)
  return text === null ? null : (JSON.parse(text) as Written)
}
