/**
 * Where scheduled backups go: a place that holds files by name, each there whole or not at all. A new kind of target
 * implements this and has its scheme added in `open-target.ts`.
 */
import type { Clock } from '../../../base/clock.ts'
import { Mk8sError } from '../../../base/errors.ts'
import type { Random } from '../../../base/random.ts'
import type { TargetListing } from '../../../client/backup-schedules.ts'

export interface TargetFile {
  readonly name: string
  readonly bytes: number
  /** By the clock of the target. */
  readonly modifiedMs: number
}

export interface BackupTarget {
  /** What people are told; never with a password or a key in it. */
  readonly url: string
  /**
   * The file has its name only once it is whole and would survive a loss of power there, as far as the target can
   * promise that. A put that fails removes what it wrote if it can; what it cannot remove is listed under a name that
   * ends in `PART_SUFFIX`. A file of that name is replaced.
   */
  put(
    name: string,
    bytes: AsyncIterable<Uint8Array>,
    signal: AbortSignal,
  ): Promise<{ readonly bytes: number }>
  /** The files that lie directly there, in any order, those of unfinished puts included (as `NAME….part`). */
  list(signal: AbortSignal): Promise<readonly TargetFile[]>
  /** Nothing happens when there is no such file. Also ends what an unfinished put has left, by its listed name. */
  remove(name: string, signal: AbortSignal): Promise<void>
  /** Writes, lists and removes a small file. Throws what says why backups could not be made there. */
  check(signal: AbortSignal): Promise<void>
  /** The bytes of a file. Throws `config/unreadable` when there is none. */
  get(name: string, signal: AbortSignal): AsyncIterable<Uint8Array>
}

/** The end of the names of files that are not whole. */
export const PART_SUFFIX = '.part'

/** What the Secret holds, decoded; empty when the schedule names none. */
export type TargetCredentials = ReadonlyMap<string, Buffer>

export interface TargetParts {
  readonly clock: Clock
  readonly random: Random
}

/** Throws `config/invalid` unless the name can be one of a file in every kind of target. */
export function mustBeFileName(name: string): void {
  if (/^[A-Za-z0-9][A-Za-z0-9._-]{0,199}$/.test(name)) return
  throw new Mk8sError(
    'config/invalid',
    `${JSON.stringify(name)} is not the name of a file in a backup target`,
  )
}

/** For people, the newest first. */
export const listingOfTarget = ({ url }: BackupTarget, files: readonly TargetFile[]): TargetListing => ({
  target: url,
  files: files
    .toSorted((a, b) => b.modifiedMs - a.modifiedMs || (a.name < b.name ? 1 : -1))
    .map(({ name, bytes, modifiedMs }) => ({ name, bytes, modifiedAt: new Date(modifiedMs).toISOString() })),
})

/** A check by what is done later anyway; for targets that know no better one. */
export async function probeTarget(target: BackupTarget, random: Random, signal: AbortSignal): Promise<void> {
  const name = `mk8s-probe-${Buffer.from(random.bytes(8)).toString('hex')}`
  const probe = Buffer.from('mk8s was here to see whether backups can be written; this file can be removed\n')
  const { bytes } = await target.put(name, pieces(probe), signal)
  let found: TargetFile | undefined
  try {
    found = (await target.list(signal)).find(file => file.name === name)
  } finally {
    await target.remove(name, signal)
  }
  if (bytes === probe.length && found?.bytes === probe.length) return
  throw new Mk8sError('host/disk', `${target.url} does not list what was written into it`, {
    why: found === undefined ? 'the file is not in the list' : `it has ${found.bytes} bytes there`,
    hint: 'look at the target: another program may move or change files in it',
  })
}

async function* pieces(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes
}
