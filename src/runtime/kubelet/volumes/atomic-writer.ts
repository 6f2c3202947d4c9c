/**
 * Writes a volume's files so that a reader sees all of the old or all of the new ones: the files lie in a
 * directory of their own, `..data` points to it, and each top-level name points through `..data`.
 */
import {
  chmod,
  lstat,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  readlink,
  rm,
  symlink,
  writeFile,
} from 'node:fs/promises'
import { dirname, join, posix } from 'node:path'
import { rename } from '../../../host/rename.ts'
import { system } from '../../../host/system.ts'
import { giveToGroup } from './fs-group.ts'
import type { VolumeFiles } from './render-volume.ts'

const DATA = '..data'
const NEW_DATA = '..data_tmp'
/** Names of the directories that the files lie in. */
const STAMPED = /^\.\.\d{4}_/

/** Returns whether anything had to change. */
export async function writeVolume(directory: string, files: VolumeFiles, group?: number): Promise<boolean> {
  await mkdir(directory, { recursive: true, mode: 0o755 })
  for (const path of files.keys()) assertInside(path)
  const previous = await readlink(join(directory, DATA)).catch(() => null)
  if (previous !== null && (await isCurrent(join(directory, previous), files))) {
    // Whoever was cut short right behind `..data` has not come to what follows it.
    await linkNames(directory, files)
    await removeOthers(directory, join(directory, previous))
    return false
  }
  if (system === 'windows' && !(await canLink(directory))) return writePlainly(directory, files)
  const fresh = await mkdtemp(join(directory, `..${stamp()}.`))
  await chmod(fresh, 0o755)
  for (const [path, file] of files) {
    const target = join(fresh, path)
    await mkdir(dirname(target), { recursive: true, mode: 0o755 })
    await writeFile(target, file.data)
    await chmod(target, file.mode)
  }
  if (group !== undefined) await giveToGroup(fresh, { group, readOnly: true })
  // Whoever was cut short here before may have left it.
  await rm(join(directory, NEW_DATA), { force: true })
  await symlink(fresh.slice(directory.length + 1), join(directory, NEW_DATA), 'dir')
  await takeName(join(directory, NEW_DATA), join(directory, DATA))
  await linkNames(directory, files)
  await removeOthers(directory, fresh)
  return true
}

/** What was shown before, and what was begun and never shown. */
async function removeOthers(directory: string, shown: string): Promise<void> {
  for (const name of await readdir(directory)) {
    const path = join(directory, name)
    if (STAMPED.test(name) && path !== shown) await rm(path, { recursive: true, force: true })
  }
}

/** On Windows that takes a right, and a file system that has links. */
async function canLink(directory: string): Promise<boolean> {
  const probe = join(directory, `${NEW_DATA}_probe`)
  try {
    await symlink('.', probe, 'dir')
    await lstat(probe)
    await rm(probe)
    return true
  } catch {
    return false
  }
}

/** Each file is whole at every moment, but a reader may see some of the old ones beside new ones. */
async function writePlainly(directory: string, files: VolumeFiles): Promise<boolean> {
  if (await isCurrent(directory, files)) return false
  for (const [path, file] of files) {
    const target = join(directory, path)
    await mkdir(dirname(target), { recursive: true })
    await writeFile(`${target}${NEW_DATA}`, file.data)
    await rename(`${target}${NEW_DATA}`, target)
  }
  const wanted = new Set([...files.keys()].map(path => join(directory, path)))
  for (const entry of await readdir(directory, { withFileTypes: true, recursive: true })) {
    const path = join(entry.parentPath, entry.name)
    if (entry.isFile() && !wanted.has(path)) await rm(path)
  }
  return true
}

/** Windows puts no link in the place of another: for a moment there is none. */
async function takeName(link: string, name: string): Promise<void> {
  if (system === 'windows') await rm(name, { recursive: true, force: true })
  await rename(link, name)
}

const stamp = () => new Date().toISOString().slice(0, 19).replaceAll(/[-:T]/g, '_')

function assertInside(path: string): void {
  const clean = posix.normalize(path)
  if (path === '' || clean.startsWith('/') || clean.split('/').some(part => part.startsWith('..'))) {
    throw new Error(`path ${JSON.stringify(path)} would leave the volume`)
  }
}

async function isCurrent(directory: string, files: VolumeFiles): Promise<boolean> {
  const present = await listFiles(directory)
  if (present.length !== files.size) return false
  for (const [path, file] of files) {
    const data = await readFile(join(directory, path)).catch(() => null)
    if (data === null || !data.equals(file.data)) return false
  }
  return true
}

async function listFiles(directory: string): Promise<string[]> {
  const entries = await readdir(directory, { withFileTypes: true, recursive: true }).catch(() => [])
  return entries.filter(entry => entry.isFile()).map(entry => entry.name)
}

async function linkNames(directory: string, files: VolumeFiles): Promise<void> {
  const names = new Set([...files.keys()].map(path => posix.normalize(path).split('/')[0] ?? ''))
  for (const name of names) {
    const path = join(directory, name)
    const isThere = await lstat(path).then(
      () => true,
      () => false,
    )
    if (!isThere) await symlink(join(DATA, name), path)
  }
  for (const name of await readdir(directory)) {
    if (!name.startsWith('..') && !names.has(name)) await rm(join(directory, name), { recursive: true })
  }
}
