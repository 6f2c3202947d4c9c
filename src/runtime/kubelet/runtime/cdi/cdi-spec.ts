/** A specification file of the Container Device Interface: its form, read strictly (pure). */
import { parseName } from './cdi-names.ts'

export interface CdiDeviceNode {
  readonly path: string
  readonly hostPath?: string | undefined
  readonly type?: string | undefined
  readonly major?: number | undefined
  readonly minor?: number | undefined
  readonly fileMode?: number | undefined
  readonly permissions?: string | undefined
  readonly uid?: number | undefined
  readonly gid?: number | undefined
}

export interface CdiMount {
  readonly hostPath: string
  readonly containerPath: string
  readonly type?: string | undefined
  readonly options?: readonly string[] | undefined
}

export interface CdiHook {
  readonly hookName: HookName
  readonly path: string
  readonly args?: readonly string[] | undefined
  readonly env?: readonly string[] | undefined
  readonly timeout?: number | undefined
}

export interface CdiIntelRdt {
  readonly closID?: string | undefined
  readonly l3CacheSchema?: string | undefined
  readonly memBwSchema?: string | undefined
  readonly schemata?: readonly string[] | undefined
  readonly enableCMT?: boolean | undefined
  readonly enableMBM?: boolean | undefined
  readonly enableMonitoring?: boolean | undefined
}

export interface CdiNetDevice {
  readonly hostInterfaceName: string
  readonly name: string
}

/** What a device, or all devices of a file, change about a container. */
export interface CdiEdits {
  readonly env?: readonly string[] | undefined
  readonly deviceNodes?: readonly CdiDeviceNode[] | undefined
  readonly netDevices?: readonly CdiNetDevice[] | undefined
  readonly hooks?: readonly CdiHook[] | undefined
  readonly mounts?: readonly CdiMount[] | undefined
  readonly intelRdt?: CdiIntelRdt | undefined
  readonly additionalGids?: readonly number[] | undefined
}

type Annotations = Readonly<Record<string, string>>

export interface CdiDevice {
  readonly name: string
  readonly annotations?: Annotations | undefined
  readonly containerEdits: CdiEdits
}

export interface CdiSpec {
  readonly cdiVersion: string
  /** `vendor/class`. */
  readonly kind: string
  readonly annotations?: Annotations | undefined
  readonly devices: readonly CdiDevice[]
  readonly containerEdits?: CdiEdits | undefined
}

export const HOOK_NAMES = [
  'prestart',
  'createRuntime',
  'createContainer',
  'startContainer',
  'poststart',
  'poststop',
] as const
export type HookName = (typeof HOOK_NAMES)[number]

/** Throws when the value at the path is of another form. */
type Check = (value: unknown, path: string) => void

/** Whatever is not known is refused, as a mistyped name would change nothing in silence otherwise. */
function record(fields: Readonly<Record<string, Check>>, required: readonly string[] = []): Check {
  return (value, path) => {
    if (typeof value !== 'object' || value === null || Array.isArray(value))
      throw new Error(`${path || 'the file'} is no object`)
    const dot = path === '' ? '' : `${path}.`
    for (const name of required) {
      const given = (value as Record<string, unknown>)[name]
      if (given === undefined || given === '' || given === null) throw new Error(`${dot}${name} is missing`)
    }
    for (const [name, each] of Object.entries(value)) {
      const check = Object.hasOwn(fields, name) ? fields[name] : undefined
      if (check === undefined) throw new Error(`${dot}${name} is an unknown field`)
      if (each !== null) check(each, `${dot}${name}`)
    }
  }
}

const list =
  (check: Check): Check =>
  (value, path) => {
    if (!Array.isArray(value)) throw new Error(`${path} is no list`)
    for (const [index, each] of value.entries()) check(each, `${path}[${index}]`)
  }

const text: Check = (value, path) => {
  if (typeof value !== 'string') throw new Error(`${path} is no string`)
}
const flag: Check = (value, path) => {
  if (typeof value !== 'boolean') throw new Error(`${path} is neither true nor false`)
}
const integer: Check = (value, path) => {
  if (!Number.isSafeInteger(value)) throw new Error(`${path} is no whole number`)
}
const natural: Check = (value, path) => {
  integer(value, path)
  if (Number(value) < 0 || Number(value) > 0xffff_ffff) throw new Error(`${path} is out of range`)
}
const matching =
  (pattern: RegExp, what: string): Check =>
  (value, path) => {
    text(value, path)
    if (!pattern.test(String(value))) throw new Error(`${path} ${JSON.stringify(value)} is ${what}`)
  }
const variable = matching(/^[^=]+=/s, 'no NAME=VALUE')
const annotations: Check = (value, path) => {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new Error(`${path} is no object`)
  for (const [name, each] of Object.entries(value)) text(each, `${path}.${name}`)
}
const NODE: Check = record(
  {
    ...{ path: text, hostPath: text, major: integer, minor: integer },
    ...{ fileMode: natural, uid: natural, gid: natural },
    type: matching(/^[bcup]?$/, 'no type of a device node'),
    permissions: matching(/^[rwm]*$/, 'no set of permissions of a device node'),
  },
  ['path'],
)
const HOOK: Check = record(
  {
    ...{ path: text, args: list(text), env: list(variable), timeout: integer },
    hookName: matching(new RegExp(`^(${HOOK_NAMES.join('|')})$`), 'no name of a hook'),
  },
  ['hookName', 'path'],
)
const RDT: Check = record({
  closID: matching(/^(?!\.{0,2}$)[^/\n]{1,4095}$/, 'no name of a class'),
  ...{ l3CacheSchema: text, memBwSchema: text, schemata: list(text) },
  ...{ enableCMT: flag, enableMBM: flag, enableMonitoring: flag },
})
const EDITS: Check = record({
  env: list(variable),
  deviceNodes: list(NODE),
  netDevices: list(record({ hostInterfaceName: text, name: text }, ['hostInterfaceName', 'name'])),
  hooks: list(HOOK),
  mounts: list(
    record({ hostPath: text, containerPath: text, type: text, options: list(text) }, [
      ...['hostPath', 'containerPath'],
    ]),
  ),
  intelRdt: RDT,
  additionalGids: list(natural),
})
const DEVICE: Check = record({ name: text, annotations, containerEdits: EDITS }, ['name', 'containerEdits'])
const SPEC: Check = record(
  { cdiVersion: text, kind: text, annotations, devices: list(DEVICE), containerEdits: EDITS },
  ['cdiVersion', 'kind', 'devices'],
)

/** Throws an Error that names what is wrong. */
export function parseCdiSpec(value: unknown): CdiSpec {
  SPEC(value, '')
  const spec = value as CdiSpec
  if (spec.devices.length === 0) throw new Error('it has no devices')
  const names = new Set<string>()
  for (const { name, containerEdits } of spec.devices) {
    parseName(`${spec.kind}=${name}`)
    if (names.has(name)) throw new Error(`there are two devices ${JSON.stringify(name)}`)
    names.add(name)
    if (isEmpty(containerEdits)) throw new Error(`the device ${JSON.stringify(name)} edits nothing`)
  }
  const needed = versionNeeded(spec)
  if (compareVersions(versionOf(spec.cdiVersion), versionOf(needed)) < 0)
    throw new Error(`cdiVersion must be at least ${needed} for what it uses`)
  return spec
}

const isEmpty = (edits: CdiEdits): boolean =>
  Object.values(edits).every(each => each === null || (Array.isArray(each) && each.length === 0))

const KNOWN_VERSIONS = [
  '0.1.0',
  '0.2.0',
  '0.3.0',
  '0.4.0',
  '0.5.0',
  '0.6.0',
  '0.7.0',
  '0.8.0',
  '1.0.0',
  '1.1.0',
]

function versionOf(version: string): readonly number[] {
  const plain = version.replace(/^v/, '')
  if (!KNOWN_VERSIONS.includes(plain)) throw new Error(`cdiVersion ${JSON.stringify(version)} is not known`)
  return plain.split('.').map(Number)
}

function compareVersions(one: readonly number[], other: readonly number[]): number {
  const at = one.findIndex((part, index) => part !== other[index])
  return at === -1 ? 0 : (one[at] ?? 0) - (other[at] ?? 0)
}

/** The first version of the specification that has what is used. */
function versionNeeded({ kind, annotations: said, devices, containerEdits = {} }: CdiSpec): string {
  const edits = [containerEdits, ...devices.map(device => device.containerEdits)]
  const has = (test: (each: CdiEdits) => boolean) => edits.some(test)
  const isSaid = (each?: Annotations | null) => Object.keys(each ?? {}).length > 0
  if (has(({ netDevices, intelRdt: rdt }) => (netDevices?.length ?? 0) > 0 || hasNewRdt(rdt))) return '1.1.0'
  if (has(({ additionalGids, intelRdt }) => Boolean(additionalGids?.length || intelRdt))) return '0.7.0'
  if (kind.split('/')[1]?.includes('.') || isSaid(said) || devices.some(each => isSaid(each.annotations)))
    return '0.6.0'
  const hasHostPath = has(({ deviceNodes }) => deviceNodes?.some(node => Boolean(node.hostPath)) === true)
  if (hasHostPath || devices.some(({ name }) => !/^[A-Za-z]/.test(name))) return '0.5.0'
  return has(({ mounts }) => mounts?.some(({ type }) => Boolean(type)) === true) ? '0.4.0' : '0.1.0'
}

const hasNewRdt = (rdt: CdiIntelRdt | null | undefined): boolean =>
  Boolean(rdt?.schemata?.length || rdt?.enableMonitoring)
