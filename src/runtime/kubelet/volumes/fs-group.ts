/** Gives what lies in a volume to the pod's group, as `fsGroup` asks for. */
import { chmod, lchown, lstat, readdir } from 'node:fs/promises'
import { join } from 'node:path'

export interface GroupOptions {
  readonly group: number
  /** `OnRootMismatch` leaves a volume alone whose top directory is right already. */
  readonly policy?: string | undefined
  readonly readOnly?: boolean
}

const SET_GROUP_ID = 0o2000
const FILE = { readOnly: 0o440, writable: 0o660 } as const
/** Directories have to be entered, too. */
const ENTER = 0o110

/** Nothing happens unless this process may give files away. */
export async function giveToGroup(directory: string, options: GroupOptions): Promise<void> {
  if (process.getuid?.() !== 0) return
  const isRight = options.policy === 'OnRootMismatch' && (await hasGroup(directory, options))
  if (!isRight) await give(directory, options)
}

async function hasGroup(directory: string, { group, readOnly }: GroupOptions): Promise<boolean> {
  const { gid, mode } = await lstat(directory)
  const wanted = (readOnly ? FILE.readOnly : FILE.writable) | ENTER | SET_GROUP_ID
  return gid === group && (mode & wanted) === wanted
}

/** The top comes last, so that a walk that was broken off is seen to be. */
async function give(path: string, options: GroupOptions): Promise<void> {
  const { mode, uid } = await lstat(path)
  const isDirectory = (mode & 0o170000) === 0o040000
  const isLink = (mode & 0o170000) === 0o120000
  if (isDirectory) {
    for (const name of await readdir(path)) await give(join(path, name), options)
  }
  await lchown(path, uid, options.group)
  if (isLink) return
  const base = options.readOnly ? FILE.readOnly : FILE.writable
  await chmod(path, (mode & 0o7777) | base | (isDirectory ? ENTER | SET_GROUP_ID : 0))
}
