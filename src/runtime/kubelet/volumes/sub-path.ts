/**
 * A part of a volume as a mount of its own. Whoever writes to the volume may turn its directories into links at any
 * moment, so each step of the way is opened without following links, and what was opened is mounted, not its name.
 */
import { constants } from 'node:fs'
import { chmod, type FileHandle, lstat, mkdir, open, realpath, stat, writeFile } from 'node:fs/promises'
import { dirname, join, sep } from 'node:path'
import { systemCodeOf } from '../../../base/errors.ts'
import { unmountBelow } from '../../../host/mounts.ts'
import { runProgram } from '../../../host/programs.ts'

/** Linux: a handle for naming a file, without reading it. Node has no name for it. */
const O_PATH = 0o10000000
const STEP = O_PATH | constants.O_NOFOLLOW
/** Of what a sub-path is mounted on. */
const TARGET_MODE = 0o750
/** What is made in a volume has the mode of the volume, so that whoever may write to that may write to it. */
const MODE_BITS = 0o2777

export class EscapeError extends Error {
  override readonly name = 'EscapeError'
}

const canMount = (): boolean => process.platform === 'linux' && process.getuid?.() === 0

/**
 * Where the part of the volume can be mounted from: at `target`, where it is mounted in place of what was there
 * before, or its real path for those who may not mount. `path` is relative and has no `..`; what is not there is made.
 */
export async function openSubPath(volume: string, path: string, target: string): Promise<string> {
  const root = await realpath(volume)
  const found = await realBeginning(join(root, path))
  if (found !== root && !found.startsWith(root + sep)) throw new EscapeError(path)
  const steps = found.slice(root.length).split(sep).filter(Boolean)
  if (canMount()) {
    await mountSteps(root, steps, target)
    return target
  }
  const isThere = await stat(found).catch(() => null)
  if (isThere === null) await mkdir(found, { recursive: true, mode: (await stat(root)).mode & MODE_BITS })
  return found
}

/** What a regular file of the volume holds; its links are followed as far as they stay inside. */
export async function readInside(volume: string, path: string, bytesMax: number): Promise<string> {
  const root = await realpath(volume)
  const found = await realpath(join(root, path))
  if (!found.startsWith(root + sep)) throw new EscapeError(path)
  const steps = found.slice(root.length).split(sep).filter(Boolean)
  const isLinux = process.platform === 'linux'
  const named = isLinux ? await openInside(root, steps, false) : undefined
  try {
    const { size } = (await named?.stat()) ?? { size: 0 }
    if (named !== undefined && !(await named.stat()).isFile()) throw new EscapeError(path)
    if (size > bytesMax) throw new Error(`${path} has more than ${bytesMax} bytes`)
    const flags = constants.O_RDONLY | constants.O_NONBLOCK | (isLinux ? 0 : constants.O_NOFOLLOW)
    const file = await open(named === undefined ? found : `/proc/self/fd/${named.fd}`, flags)
    try {
      const { buffer, bytesRead } = await file.read(Buffer.alloc(bytesMax), 0, bytesMax, 0)
      return buffer.toString('utf8', 0, bytesRead)
    } finally {
      await file.close()
    }
  } finally {
    await named?.close()
  }
}

/** The path with the links in what is there of it followed. A link to nowhere is an error. */
async function realBeginning(path: string): Promise<string> {
  for (let head = path; ; head = dirname(head)) {
    if (await lstat(head).catch(() => null)) return join(await realpath(head), path.slice(head.length))
  }
}

async function mountSteps(root: string, steps: readonly string[], target: string): Promise<void> {
  const handle = await openInside(root, steps)
  try {
    const isDirectory = (await handle.stat()).isDirectory()
    await unmountBelow([target])
    await mkdir(isDirectory ? target : dirname(target), { recursive: true, mode: TARGET_MODE })
    if (!isDirectory) await writeFile(target, '')
    const source = `/proc/${process.pid}/fd/${handle.fd}`
    await runProgram('mount', ['--no-canonicalize', '--bind', source, target])
  } finally {
    await handle.close()
  }
}

async function openInside(root: string, steps: readonly string[], makes = true): Promise<FileHandle> {
  let handle = await open(root, STEP | constants.O_DIRECTORY)
  const mode = makes ? (await handle.stat()).mode & MODE_BITS : null
  for (const step of steps) {
    const parent = handle
    handle = await openStep(parent, step, mode).finally(() => parent.close())
    if (!(await handle.stat()).isSymbolicLink()) continue
    await handle.close()
    throw new EscapeError(step)
  }
  return handle
}

/** One that is not there is made with the mode; null: it is an error. */
async function openStep(parent: FileHandle, name: string, mode: number | null): Promise<FileHandle> {
  const path = `/proc/self/fd/${parent.fd}/${name}`
  try {
    return await open(path, STEP)
  } catch (error) {
    if (mode === null || systemCodeOf(error) !== 'ENOENT') throw error
  }
  await mkdir(path)
  const made = await open(path, STEP)
  try {
    // Whatever the daemon's own mask is. A link in its place is found by the caller.
    const isDirectory = (await made.stat()).isDirectory()
    if (isDirectory) await chmod(`/proc/self/fd/${made.fd}`, mode)
    return made
  } catch (error) {
    await made.close()
    throw error
  }
}
