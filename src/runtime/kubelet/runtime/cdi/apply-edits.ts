/** CDI edits applied to a container's config.json, as the specification's own library does (pure). */
import type { CdiDeviceNode, CdiEdits, CdiHook, CdiIntelRdt, HookName } from './cdi-spec.ts'

/** A device file of the machine. */
export interface FileKind {
  readonly type: string
  readonly major: number
  readonly minor: number
}

/** With what the machine says, where the specification leaves it out. */
export type FilledNode = CdiDeviceNode & FileKind

interface SpecMount {
  readonly destination: string
  readonly source: string
  readonly type: string
  readonly options: readonly string[]
}

interface DeviceRule {
  readonly allow: boolean
  readonly access: string
  readonly type?: string
  readonly major?: number
  readonly minor?: number
}

/** What edits touch of a config.json. */
export interface EditableSpec {
  readonly process: {
    readonly user: {
      readonly uid: number
      readonly gid: number
      readonly additionalGids: readonly number[]
    }
    readonly env: readonly string[]
  }
  readonly mounts: readonly SpecMount[]
  readonly linux: {
    readonly resources: { readonly devices: readonly DeviceRule[] }
    readonly devices?: readonly (FileKind & { readonly path: string })[]
    readonly intelRdt?: CdiIntelRdt
  }
  readonly hooks?: Partial<Record<HookName, readonly object[]>>
}

const sumOf = <T>(
  edits: readonly CdiEdits[],
  pick: (each: CdiEdits) => readonly T[] | null | undefined,
): T[] => edits.flatMap(each => pick(each) ?? [])

export function applyEdits(
  spec: EditableSpec,
  { edits, nodes }: { readonly edits: readonly CdiEdits[]; readonly nodes: readonly FilledNode[] },
): EditableSpec {
  const { user, env } = spec.process
  const hooks = sumOf(edits, each => each.hooks)
  const intelRdt = edits.findLast(each => each.intelRdt)?.intelRdt
  return {
    ...spec,
    process: {
      ...spec.process,
      env: withVariables(
        env,
        sumOf(edits, each => each.env),
      ),
      user: { ...user, additionalGids: withGroups(user.additionalGids, edits) },
    },
    mounts: withMounts(spec.mounts, edits),
    linux: {
      ...withDevices(spec, nodes),
      ...(intelRdt ? { intelRdt } : {}),
    },
    ...(hooks.length > 0 ? { hooks: withHooks(spec.hooks ?? {}, hooks) } : {}),
  }
}

/** What is set twice is what the later one says, in the place of the first. */
function withVariables(given: readonly string[], more: readonly string[]): string[] {
  const all = new Map<string, string>()
  for (const entry of [...given, ...more]) all.set(entry.split('=')[0] ?? '', entry)
  return [...all.values()]
}

/** Root's own group is nothing that one could be given. */
function withGroups(given: readonly number[], edits: readonly CdiEdits[]): number[] {
  const more = sumOf(edits, each => each.additionalGids).filter(gid => gid !== 0)
  return [...new Set([...given, ...more])]
}

const depth = (path: string): number => path.split('/').filter(Boolean).length

function withMounts(given: readonly SpecMount[], edits: readonly CdiEdits[]): readonly SpecMount[] {
  const more = new Map<string, SpecMount>()
  for (const { containerPath, hostPath, type, options } of sumOf(edits, each => each.mounts)) {
    more.delete(containerPath)
    const mount = {
      destination: containerPath,
      source: hostPath,
      type: type || 'bind',
      options: options ?? [],
    }
    more.set(containerPath, mount)
  }
  if (more.size === 0) return given
  const kept = given.filter(({ destination }) => !more.has(destination))
  return [...kept, ...more.values()].sort((a, b) => depth(a.destination) - depth(b.destination))
}

function withDevices({ process, linux }: EditableSpec, nodes: readonly FilledNode[]): EditableSpec['linux'] {
  if (nodes.length === 0) return linux
  const { uid: ownUid, gid: ownGid } = process.user
  const own = { ...(ownUid > 0 ? { uid: ownUid } : {}), ...(ownGid > 0 ? { gid: ownGid } : {}) }
  const devices = new Map((linux.devices ?? []).map(device => [device.path, device]))
  const rules = [...linux.resources.devices]
  for (const { path, type, major, minor, fileMode, uid, gid, permissions } of nodes) {
    devices.delete(path)
    devices.set(path, {
      ...{ path, type, major, minor, ...own },
      ...(fileMode == null ? {} : { fileMode }),
      ...(uid == null ? {} : { uid }),
      ...(gid == null ? {} : { gid }),
    })
    if (type === 'b' || type === 'c')
      rules.push({ allow: true, type, major, minor, access: permissions || 'rwm' })
  }
  return { ...linux, devices: [...devices.values()], resources: { ...linux.resources, devices: rules } }
}

function withHooks(given: NonNullable<EditableSpec['hooks']>, more: readonly CdiHook[]) {
  const all: Partial<Record<HookName, object[]>> = {}
  for (const [name, hooks] of Object.entries(given)) all[name as HookName] = [...hooks]
  for (const { hookName, path, args, env, timeout } of more) {
    const hook = { path, ...(args && { args }), ...(env && { env }), ...(timeout && { timeout }) }
    all[hookName] = [...(all[hookName] ?? []), hook]
  }
  return all
}

/** Type and numbers are the machine's unless they are all said; a type that is said has to be the machine's. */
export async function fillNode(node: CdiDeviceNode, look: () => Promise<FileKind>): Promise<FilledNode> {
  const { type = '', major = 0, minor = 0 } = node
  if (type !== '' && (major !== 0 || type === 'p')) return { ...node, type, major, minor }
  const found = await look()
  if (type !== '' && found.type !== type && !(type === 'u' && found.type === 'c'))
    throw new Error(`it is of type ${found.type} and not ${type}`)
  return { ...node, ...found, type: type || found.type }
}

interface FileStatus {
  isBlockDevice(): boolean
  isCharacterDevice(): boolean
  isFIFO(): boolean
  readonly rdev: number
}

export function kindOfFile(found: FileStatus): FileKind {
  const { rdev } = found
  const type = found.isBlockDevice() ? 'b' : found.isCharacterDevice() ? 'c' : found.isFIFO() ? 'p' : ''
  if (type === '') throw new Error('it is no device file')
  if (type === 'p') return { type, major: 0, minor: 0 }
  return { type, ...deviceNumbers(rdev) }
}

/** As Linux keeps them in one number. */
export const deviceNumbers = (rdev: number): { readonly major: number; readonly minor: number } => ({
  major: (rdev >> 8) & 0xfff,
  minor: (rdev & 0xff) | ((rdev >> 12) & ~0xff),
})
