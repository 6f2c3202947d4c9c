/** Discovery documents out of the model: groups, versions, resources, in the plain and the aggregated form; pure. */
import type { ResourceInfo, SubresourceInfo } from '../../../kube/model-types.ts'
import { apiVersionOf } from '../storage/served-resource.ts'

/** What is served: the model, and what custom resources add. */
interface Served {
  readonly resources: readonly ResourceInfo[]
}

interface GroupVersions {
  readonly group: string
  /** Preferred first. */
  readonly versions: readonly string[]
}

/** The groups in the model's order. */
function groupsOf(model: Served): readonly GroupVersions[] {
  const groups = new Map<string, string[]>()
  for (const { group, version } of model.resources) {
    const versions = groups.get(group) ?? []
    if (!versions.includes(version)) versions.push(version)
    groups.set(group, versions)
  }
  return [...groups].map(([group, versions]) => ({ group, versions }))
}

export function apiVersionsDocument(serverAddress: string): unknown {
  return {
    kind: 'APIVersions',
    versions: ['v1'],
    serverAddressByClientCIDRs: [{ clientCIDR: '0.0.0.0/0', serverAddress }],
  }
}

function groupFields({ group, versions }: GroupVersions): Record<string, unknown> {
  const shown = versions.map(version => ({ groupVersion: apiVersionOf(group, version), version }))
  return { name: group, versions: shown, preferredVersion: shown[0] }
}

export function groupListDocument(model: Served): unknown {
  const groups = groupsOf(model).filter(one => one.group !== '')
  return { kind: 'APIGroupList', apiVersion: 'v1', groups: groups.map(groupFields) }
}

/** Undefined when there is no such group. */
export function groupDocument(model: Served, group: string): unknown {
  const found = groupsOf(model).find(one => one.group === group && group !== '')
  return found === undefined ? undefined : { kind: 'APIGroup', apiVersion: 'v1', ...groupFields(found) }
}

const resourcesOf = (model: Served, group: string, version: string): readonly ResourceInfo[] =>
  model.resources.filter(one => one.group === group && one.version === version)

function subresourceEntry(resource: ResourceInfo, subresource: SubresourceInfo): Record<string, unknown> {
  const { kind } = subresource
  const isForeign = kind.group !== resource.group || kind.version !== resource.version
  return {
    name: `${resource.resource}/${subresource.name}`,
    singularName: '',
    namespaced: resource.namespaced,
    ...(isForeign ? { group: kind.group, version: kind.version } : {}),
    kind: kind.kind,
    verbs: subresource.verbs,
  }
}

function resourceEntry(resource: ResourceInfo): Record<string, unknown> {
  return {
    name: resource.resource,
    singularName: resource.singular,
    namespaced: resource.namespaced,
    kind: resource.kind,
    verbs: resource.verbs,
    ...(resource.shortNames.length > 0 ? { shortNames: resource.shortNames } : {}),
    ...(resource.categories.length > 0 ? { categories: resource.categories } : {}),
  }
}

/** Undefined when there is no such group and version. */
export function resourceListDocument(model: Served, group: string, version: string): unknown {
  const resources = resourcesOf(model, group, version)
  if (resources.length === 0) return undefined
  return {
    kind: 'APIResourceList',
    ...(group === '' ? {} : { apiVersion: 'v1' }),
    groupVersion: apiVersionOf(group, version),
    resources: resources.flatMap(one => [
      ...(one.verbs.length > 0 ? [resourceEntry(one)] : []),
      ...one.subresources.map(subresource => subresourceEntry(one, subresource)),
    ]),
  }
}

const responseKind = ({ group, version, kind }: ResourceInfo | SubresourceInfo['kind']) => ({
  group,
  version,
  kind,
})

function aggregatedResource(resource: ResourceInfo): Record<string, unknown> {
  const subresources = resource.subresources.map(one => ({
    subresource: one.name,
    responseKind: responseKind(one.kind),
    verbs: one.verbs,
  }))
  return {
    resource: resource.resource,
    responseKind: responseKind(resource),
    scope: resource.namespaced ? 'Namespaced' : 'Cluster',
    singularResource: resource.singular,
    verbs: resource.verbs,
    ...(resource.shortNames.length > 0 ? { shortNames: resource.shortNames } : {}),
    ...(resource.categories.length > 0 ? { categories: resource.categories } : {}),
    ...(subresources.length > 0 ? { subresources } : {}),
  }
}

/** apidiscovery.k8s.io/v2: `/api` shows the core group, `/apis` all others. */
export function aggregatedDocument(model: Served, root: 'api' | 'apis'): unknown {
  const groups = groupsOf(model).filter(one => (one.group === '') === (root === 'api'))
  return {
    kind: 'APIGroupDiscoveryList',
    apiVersion: 'apidiscovery.k8s.io/v2',
    metadata: {},
    items: groups.map(({ group, versions }) => ({
      metadata: { name: group, creationTimestamp: null },
      versions: versions.map(version => ({
        version,
        resources: resourcesOf(model, group, version).map(aggregatedResource),
        freshness: 'Current',
      })),
    })),
  }
}

/** The paths that `/` lists. */
export function pathsDocument(model: Served): unknown {
  const groups = groupsOf(model).filter(one => one.group !== '')
  const versions = groups.flatMap(({ group, versions: all }) => [
    `/apis/${group}`,
    ...all.map(version => `/apis/${group}/${version}`),
  ])
  const fixed = ['/healthz', '/healthz/ping', '/livez', '/livez/ping', '/openapi/v2', '/openapi/v3']
  const last = ['/readyz', '/readyz/ping', '/version']
  return { paths: ['/api', '/api/v1', '/apis', ...versions, ...fixed, ...last] }
}
