/** What of CSI volumes is written down beside the mounts of pods, so that a kubelet that was killed can undo it. */
import { mkdir, readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { writeFileDurably } from '../../../host/files.ts'

export interface CsiRecord {
  readonly driver: string
  readonly handle: string
  readonly staged: string | null
  readonly isInline: boolean
  /** Where it is published; absent: `mount` beside the record. */
  readonly target?: string
}

export interface FoundRecord {
  /** The directory of the record. */
  readonly path: string
  readonly record: CsiRecord
}

const RECORD = 'vol_data.json'
const PLUGIN = 'kubernetes.io~csi'
/** File systems, and raw block devices. */
const FOLDERS = ['volumes', 'volumeDevices'] as const

export const recordDirectory = (podDirectory: string, name: string, isBlock: boolean): string =>
  join(podDirectory, isBlock ? 'volumeDevices' : 'volumes', PLUGIN, name)

export const targetOf = ({ path, record }: FoundRecord): string => record.target ?? join(path, 'mount')

export const isSameVolume = (
  a: Pick<CsiRecord, 'driver' | 'handle'>,
  b: Pick<CsiRecord, 'driver' | 'handle'>,
) => a.driver === b.driver && a.handle === b.handle

/** Whole at every moment: without it nobody could take the mount away, nor tell what the node has. */
export async function writeRecord(directory: string, record: CsiRecord): Promise<void> {
  await mkdir(directory, { recursive: true, mode: 0o750 })
  writeFileDurably(join(directory, RECORD), JSON.stringify(record), 0o600)
}

export async function readRecord(directory: string): Promise<CsiRecord | null> {
  const text = await readFile(join(directory, RECORD), 'utf8').catch(() => null)
  return text === null ? null : (JSON.parse(text) as CsiRecord)
}

export async function recordsOfPod(podDirectory: string): Promise<FoundRecord[]> {
  const found: FoundRecord[] = []
  for (const folder of FOLDERS) {
    const parent = join(podDirectory, folder, PLUGIN)
    for (const name of await readdir(parent).catch(() => [])) {
      const record = await readRecord(join(parent, name))
      if (record !== null) found.push({ path: join(parent, name), record })
    }
  }
  return found
}

export async function recordsOfAll(pods: string): Promise<FoundRecord[]> {
  const found: FoundRecord[] = []
  for (const pod of await readdir(pods).catch(() => [])) found.push(...(await recordsOfPod(join(pods, pod))))
  return found
}
