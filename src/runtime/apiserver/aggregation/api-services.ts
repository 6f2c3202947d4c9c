/** What APIService objects say: which groups and versions other servers serve, and in which order all are shown. Pure. */
import { isAvailable } from '../../../kube/extension-services.ts'
import type { KubeObject } from '../../../kube/object.ts'
import type { APIService } from '../../../kube/types.ts'

export interface RemoteService {
  readonly group: string
  readonly version: string
  readonly namespace: string
  readonly name: string
  readonly port: number
  /** PEM; undefined: what this machine trusts. */
  readonly ca: string | undefined
  readonly isInsecure: boolean
  readonly isAvailable: boolean
}

export interface GroupPlace {
  readonly group: string
  /** The highest of its versions. */
  readonly priority: number
  /** The preferred one first. */
  readonly versions: readonly string[]
}

export interface ApiServiceIndex {
  /** By `group/version`. */
  readonly remote: ReadonlyMap<string, RemoteService>
  readonly groups: ReadonlyMap<string, GroupPlace>
}

interface ApiServicePart {
  readonly spec?: {
    readonly group?: string
    readonly version?: string
    readonly groupPriorityMinimum?: number
    readonly versionPriority?: number
    readonly caBundle?: string
    readonly insecureSkipTLSVerify?: boolean
    readonly service?: { readonly namespace?: string; readonly name?: string; readonly port?: number }
  }
}

const HTTPS = 443

export function remoteServiceOf(object: KubeObject): RemoteService | null {
  const { spec = {} } = object as unknown as ApiServicePart
  const { service } = spec
  if (!service) return null
  return {
    group: spec.group ?? '',
    version: spec.version ?? '',
    namespace: service.namespace ?? '',
    name: service.name ?? '',
    port: service.port ?? HTTPS,
    ca: spec.caBundle ? Buffer.from(spec.caBundle, 'base64').toString('utf8') : undefined,
    isInsecure: spec.insecureSkipTLSVerify === true,
    isAvailable: isAvailable(object as unknown as APIService),
  }
}

interface VersionPlace {
  readonly version: string
  readonly priority: number
}

export function indexOf(apiServices: readonly KubeObject[]): ApiServiceIndex {
  const remote = new Map<string, RemoteService>()
  const versions = new Map<string, VersionPlace[]>()
  const priorities = new Map<string, number>()
  for (const object of apiServices) {
    const found = remoteServiceOf(object)
    const { spec = {} } = object as unknown as ApiServicePart
    const { group = '', version = '', groupPriorityMinimum = 0, versionPriority = 0 } = spec
    if (found !== null) remote.set(`${group}/${version}`, found)
    priorities.set(group, Math.max(priorities.get(group) ?? 0, groupPriorityMinimum))
    const known = versions.get(group) ?? []
    known.push({ version, priority: versionPriority })
    versions.set(group, known)
  }
  const groups = new Map<string, GroupPlace>()
  for (const [group, all] of versions) {
    const sorted = all.sort((a, b) => b.priority - a.priority || compareVersions(b.version, a.version))
    const places = sorted.map(one => one.version)
    groups.set(group, { group, priority: priorities.get(group) ?? 0, versions: places })
  }
  return { remote, groups }
}

const STABILITY: Readonly<Record<string, number>> = { alpha: 1, beta: 2 }

/** As Kubernetes compares versions: stable before beta before alpha, then the higher number; others last, by name. */
export function compareVersions(a: string, b: string): number {
  const [left, right] = [partsOf(a), partsOf(b)]
  if (left === null || right === null) {
    if (left !== null) return 1
    if (right !== null) return -1
    return a < b ? 1 : a > b ? -1 : 0
  }
  for (let i = 0; i < left.length; i++) {
    const difference = (left[i] ?? 0) - (right[i] ?? 0)
    if (difference !== 0) return difference
  }
  return 0
}

function partsOf(version: string): readonly number[] | null {
  const match = /^v(\d+)(?:(alpha|beta)(\d+))?$/.exec(version)
  if (match === null) return null
  const [, major, stability, minor] = match
  return [stability === undefined ? 3 : (STABILITY[stability] ?? 0), Number(major), Number(minor ?? 0)]
}

/** Group and version of `/apis/<group>/<version>[/…]`; null for other paths. */
export function groupVersionOf(path: string): string | null {
  const [, root, group, version] = path.split('/')
  return root === 'apis' && group && version ? `${group}/${version}` : null
}
