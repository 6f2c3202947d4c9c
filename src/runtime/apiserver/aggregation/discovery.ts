/** What extension API servers add to the discovery documents, put in the order that the APIServices ask for. Pure. */
import { type ApiServiceIndex, compareVersions, type RemoteService } from './api-services.ts'

interface ApiGroup {
  readonly name: string
  readonly versions: readonly { readonly groupVersion: string; readonly version: string }[]
  readonly preferredVersion?: { readonly groupVersion: string; readonly version: string }
}

export interface DiscoveredVersion {
  readonly version: string
  readonly resources?: readonly unknown[]
  readonly freshness?: string
}

export interface DiscoveredGroup {
  readonly metadata: { readonly name: string }
  readonly versions: readonly DiscoveredVersion[]
}

/** Groups that no APIService knows yet, such as APIService's own, keep their place among the built-in ones. */
const UNKNOWN_PRIORITY = Number.MAX_SAFE_INTEGER

const priorityOf = (index: ApiServiceIndex, group: string): number =>
  index.groups.get(group)?.priority ?? UNKNOWN_PRIORITY

/** Stable, so that groups of one priority stay as they are; remote ones go by name. */
function inOrder<T>(index: ApiServiceIndex, groups: readonly T[], nameOf: (group: T) => string): T[] {
  return [...groups].sort((a, b) => priorityOf(index, nameOf(b)) - priorityOf(index, nameOf(a)))
}

function versionsInOrder<T extends { readonly version: string }>(
  index: ApiServiceIndex,
  group: string,
  versions: readonly T[],
): T[] {
  const order = index.groups.get(group)?.versions ?? []
  const placeOf = ({ version }: T) => {
    const at = order.indexOf(version)
    return at < 0 ? order.length : at
  }
  return [...versions].sort((a, b) => placeOf(a) - placeOf(b) || compareVersions(b.version, a.version))
}

const versionEntry = (group: string, version: string) => ({ groupVersion: `${group}/${version}`, version })

/** One group of the plain form, with the remote versions; `local` is undefined when all are remote. */
export function mergedGroup(
  index: ApiServiceIndex,
  group: string,
  local: ApiGroup | undefined,
): ApiGroup | undefined {
  const remote = [...index.remote.values()].filter(one => one.group === group)
  if (remote.length === 0) return local
  const known = new Map((local?.versions ?? []).map(one => [one.version, one]))
  for (const { version } of remote) known.set(version, versionEntry(group, version))
  const versions = versionsInOrder(index, group, [...known.values()])
  const [preferredVersion] = versions
  return { ...local, name: group, versions, ...(preferredVersion === undefined ? {} : { preferredVersion }) }
}

/** The list of groups of the plain form. */
export function mergedGroupList(
  index: ApiServiceIndex,
  local: { readonly groups: readonly ApiGroup[] },
): unknown {
  const names = new Set(local.groups.map(one => one.name))
  const added = [...new Set([...index.remote.values()].map(one => one.group))]
    .filter(group => !names.has(group))
    .sort()
  const groups = [
    ...local.groups.map(one => mergedGroup(index, one.name, one) ?? one),
    ...added.flatMap(group => mergedGroup(index, group, undefined) ?? []),
  ]
  return { ...local, groups: inOrder(index, groups, one => one.name) }
}

/** The aggregated form; `discovered` has what the remote servers said last. */
export function mergedDiscovery(
  index: ApiServiceIndex,
  local: { readonly items: readonly DiscoveredGroup[] },
  discovered: ReadonlyMap<string, DiscoveredVersion>,
): unknown {
  const groups = new Map(local.items.map(one => [one.metadata.name, one]))
  for (const service of [...index.remote.values()].sort((a, b) => (a.group < b.group ? -1 : 1))) {
    const { group, version } = service
    const known = groups.get(group) ?? { metadata: { name: group, creationTimestamp: null }, versions: [] }
    const others = known.versions.filter(one => one.version !== version)
    const own = discovered.get(`${group}/${version}`) ?? staleVersion(service)
    groups.set(group, { ...known, versions: versionsInOrder(index, group, [...others, own]) })
  }
  return { ...local, items: inOrder(index, [...groups.values()], one => one.metadata.name) }
}

export const staleVersion = ({ version }: RemoteService): DiscoveredVersion => ({
  version,
  freshness: 'Stale',
})

/** The entry of one version in a remote server's aggregated document; undefined when it has none. */
export function versionIn(
  document: unknown,
  { group, version }: RemoteService,
): DiscoveredVersion | undefined {
  const { items = [] } = document as { items?: readonly DiscoveredGroup[] }
  const found = items.find(one => one.metadata?.name === group)?.versions.find(one => one.version === version)
  return found === undefined ? undefined : { ...found, freshness: 'Current' }
}

interface PlainResource {
  readonly name: string
  readonly singularName?: string
  readonly namespaced?: boolean
  readonly kind: string
  readonly group?: string
  readonly version?: string
  readonly verbs?: readonly string[]
  readonly shortNames?: readonly string[]
  readonly categories?: readonly string[]
}

/** The same out of a plain APIResourceList, for servers that have no other form. */
export function versionFromList(list: unknown, service: RemoteService): DiscoveredVersion {
  const { resources = [] } = list as { resources?: readonly PlainResource[] }
  const kindOf = (one: PlainResource) => ({
    group: one.group || service.group,
    version: one.version || service.version,
    kind: one.kind,
  })
  const subresourcesOf = (name: string) =>
    resources
      .filter(one => one.name.startsWith(`${name}/`))
      .map(one => ({
        subresource: one.name.slice(name.length + 1),
        responseKind: kindOf(one),
        verbs: one.verbs ?? [],
      }))
  const entries = resources
    .filter(one => !one.name.includes('/'))
    .map(one => {
      const subresources = subresourcesOf(one.name)
      return {
        resource: one.name,
        responseKind: kindOf(one),
        scope: one.namespaced === true ? 'Namespaced' : 'Cluster',
        singularResource: one.singularName || one.kind.toLowerCase(),
        verbs: one.verbs ?? [],
        ...(one.shortNames === undefined ? {} : { shortNames: one.shortNames }),
        ...(one.categories === undefined ? {} : { categories: one.categories }),
        ...(subresources.length === 0 ? {} : { subresources }),
      }
    })
  return { version: service.version, resources: entries, freshness: 'Current' }
}

interface OpenApiV2 {
  readonly paths?: Readonly<Record<string, unknown>>
  readonly definitions?: Readonly<Record<string, unknown>>
}

/** What is here already stays: names of the same meaning are the rule. */
export function mergedOpenApiV2(local: OpenApiV2, remote: readonly OpenApiV2[]): unknown {
  let { paths = {}, definitions = {} } = local
  for (const one of remote) {
    const own = Object.entries(one.paths ?? {}).filter(([path]) => path.startsWith('/apis/'))
    paths = { ...Object.fromEntries(own), ...paths }
    definitions = { ...one.definitions, ...definitions }
  }
  return { ...local, paths, definitions }
}
