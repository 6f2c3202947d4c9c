/**
 * A block device as a file system: formatted when nothing is on it, checked, and mounted, as upstream does. Each pod
 * mounts it for itself, so that what a pod leaves behind is in its own directory; the kernel keeps one state of it.
 */
import { mkdir } from 'node:fs/promises'
import { messageOf } from '../../../base/errors.ts'
import { mountsBelow } from '../../../host/mounts.ts'
import { type ProgramResult, runProgram } from '../../../host/programs.ts'
import { VolumeError } from './volume-error.ts'

export interface BlockVolume {
  readonly device: string
  /** What is made of an empty device; a device that has another file system is refused. */
  readonly fsType: string
  readonly options: readonly string[]
  readonly readOnly: boolean
}

export const FS_TYPE_DEFAULT = 'ext4'
/** Large devices take their time. */
const FORMAT_MS_MAX = 30 * 60_000
const CHECK_MS_MAX = 30 * 60_000
/** `blkid` found nothing that it knows. */
const NOTHING_FOUND = 2
/** `fsck` found errors that it could not correct, or was told that there are some. */
const UNCORRECTED = 4
const FORMAT_ARGUMENTS: Readonly<Record<string, readonly string[]>> = {
  ext3: ['-F', '-m0'],
  ext4: ['-F', '-m0'],
  xfs: ['-f'],
}
/** No path and no option of a program. */
const FS_TYPE = /^[a-z0-9]+$/i

/** What is on a device: a file system's name, `unknown` for partitions and the like, or nothing. */
export type Content = { readonly type: string } | 'unknown' | 'nothing'

/** Of `blkid -p -o export`. */
export function contentOf({ stdout, exitCode }: Pick<ProgramResult, 'stdout' | 'exitCode'>): Content {
  if (exitCode === NOTHING_FOUND) return 'nothing'
  const values = new Map(
    stdout.split('\n').map(line => [line.split('=', 1)[0], line.slice(line.indexOf('=') + 1)]),
  )
  const type = values.get('TYPE')
  if (values.has('PTTYPE')) return 'unknown'
  return type === undefined || type === '' ? 'unknown' : { type }
}

/** Devices that are being looked at: two pods must not both find one empty. */
const underWay = new Map<string, Promise<void>>()

/** Works twice as well as once. */
export async function mountBlock(volume: BlockVolume, target: string): Promise<void> {
  const before = underWay.get(volume.device) ?? Promise.resolve()
  const own = before.then(() => mountOne(volume, target))
  const settled = own.catch(() => {})
  underWay.set(volume.device, settled)
  try {
    await own
  } finally {
    if (underWay.get(volume.device) === settled) underWay.delete(volume.device)
  }
}

async function mountOne(volume: BlockVolume, target: string): Promise<void> {
  if (mountsBelow([target]).includes(target)) return
  const { device, fsType, options, readOnly } = volume
  if (!FS_TYPE.test(fsType)) throw new VolumeError(`"${fsType}" is no type of a file system`)
  const probe = ['-p', '-s', 'TYPE', '-s', 'PTTYPE', '-o', 'export', device]
  const found = await runProgram('blkid', probe, { accept: 'any' })
  if (found.exitCode !== 0 && found.exitCode !== NOTHING_FOUND)
    throw new VolumeError(`"${device}" cannot be looked at: ${found.stderr.trim()}`)
  const content = contentOf(found)
  if (content === 'nothing') await format(volume)
  else if (content !== 'unknown' && !readOnly) await check(device)
  await mkdir(target, { recursive: true, mode: 0o750 })
  try {
    await runProgram('mount', ['-t', fsType, '-o', ['defaults', ...options].join(','), device, target])
  } catch (error) {
    if (content === 'nothing' || (content !== 'unknown' && content.type === fsType)) throw error
    const what = content === 'unknown' ? 'unknown data, probably partitions' : content.type
    throw new VolumeError(
      `failed to mount the volume as "${fsType}", it already contains ${what}. Mount error: ${messageOf(error)}`,
    )
  }
}

async function format({ device, fsType, readOnly }: BlockVolume): Promise<void> {
  if (readOnly)
    throw new VolumeError(
      `cannot mount unformatted disk ${device} as we are manipulating it in read-only mode`,
    )
  const args = [...(FORMAT_ARGUMENTS[fsType] ?? []), device]
  await runProgram(`mkfs.${fsType}`, args, { timeoutMs: FORMAT_MS_MAX })
}

/** One that is mounted already is left alone, and one that is in order is read once. */
async function check(device: string): Promise<void> {
  if (await isMounted(device)) return
  const { exitCode, stdout } = await runProgram('fsck', ['-a', device], {
    accept: 'any',
    timeoutMs: CHECK_MS_MAX,
  })
  if (exitCode === UNCORRECTED)
    throw new VolumeError(
      `'fsck' found errors on device ${device} but could not correct them: ${stdout.trim()}`,
    )
}

async function isMounted(device: string): Promise<boolean> {
  const { exitCode } = await runProgram('findmnt', ['--source', device], { accept: 'any' })
  return exitCode === 0
}
