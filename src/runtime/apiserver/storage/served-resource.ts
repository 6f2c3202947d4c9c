/** A resource of the model made ready for requests: its keys, how its values begin, its strategy. */
import type { Model, ResourceInfo } from '../../../kube/model-types.ts'
import { defaultStrategy } from '../registry/generic.ts'
import type { Strategy } from '../registry/strategy.ts'
import type { CustomForm } from './custom-form.ts'

export interface ServedResource {
  readonly info: ResourceInfo
  readonly apiVersion: string
  /** Works on objects in the storage version. */
  readonly strategy: Strategy
  /** `/registry/core/pods/`. */
  readonly prefix: string
  readonly storageApiVersion: string
  /** How the JSON of every stored object begins, up to and including `"metadata":{`. */
  readonly head: Buffer
  /** False when this version differs from the stored one, so that objects are converted on the way. */
  readonly servesStoredBytes: boolean
  /** `deployments.apps`, `pods`: as errors name it. */
  readonly qualifiedName: string
  /** Of custom resources, whose versions each are their own internal form. */
  readonly custom?: CustomForm
}

export interface ResourceTable {
  /** In the order of discovery. */
  readonly all: readonly ServedResource[]
  /** Another number whenever the table has changed. */
  readonly generation: number
  find(group: string, version: string, resource: string): ServedResource | undefined
  /** The served form whose version is the stored one. */
  stored(group: string, resource: string): ServedResource | undefined
  hasGroupVersion(group: string, version: string): boolean
}

export const apiVersionOf = (group: string, version: string): string =>
  group === '' ? version : `${group}/${version}`

export const storagePrefix = (group: string, resource: string): string =>
  `/registry/${group === '' ? 'core' : group}/${resource}/`

/** How the stored JSON of a kind begins, behind the format byte. */
export const headOf = (apiVersion: string, kind: string): Buffer =>
  Buffer.from(`{"apiVersion":${JSON.stringify(apiVersion)},"kind":${JSON.stringify(kind)},"metadata":{`)

function serve(info: ResourceInfo, strategies: ReadonlyMap<string, Strategy>): ServedResource {
  const { storage } = info
  const apiVersion = apiVersionOf(info.group, info.version)
  const storageApiVersion = apiVersionOf(storage.group, storage.version)
  return {
    info,
    apiVersion,
    strategy:
      strategies.get(`${storage.group}/${storage.resource}`) ??
      strategies.get(`${info.group}/${info.resource}`) ??
      defaultStrategy(info),
    prefix: storagePrefix(storage.group, storage.resource),
    storageApiVersion,
    head: headOf(storageApiVersion, info.kind),
    servesStoredBytes: apiVersion === storageApiVersion,
    qualifiedName: info.group === '' ? info.resource : `${info.resource}.${info.group}`,
  }
}

export function createResourceTable(
  model: Model,
  strategies: ReadonlyMap<string, Strategy> = new Map(),
): ResourceTable {
  const all = model.resources.map(info => serve(info, strategies))
  const byKey = new Map(all.map(one => [`${one.apiVersion}/${one.info.resource}`, one]))
  const stored = new Map<string, ServedResource>()
  for (const one of all) {
    const { storage } = one.info
    if (one.servesStoredBytes) stored.set(`${storage.group}/${storage.resource}`, one)
  }
  for (const one of all) {
    const key = `${one.info.group}/${one.info.resource}`
    if (!stored.has(key)) stored.set(key, one)
  }
  const groupVersions = new Set(all.map(one => one.apiVersion))
  return {
    all,
    generation: 0,
    find: (group, version, resource) => byKey.get(`${apiVersionOf(group, version)}/${resource}`),
    stored: (group, resource) => stored.get(`${group}/${resource}`),
    hasGroupVersion: (group, version) => groupVersions.has(apiVersionOf(group, version)),
  }
}

/** The key of one object. */
export function objectKey(resource: ServedResource, namespace: string, name: string): string {
  return resource.info.namespaced ? `${resource.prefix}${namespace}/${name}` : resource.prefix + name
}

/** The prefix of all objects of the resource, or of those of one namespace. */
export function collectionPrefix(resource: ServedResource, namespace: string): string {
  return resource.info.namespaced && namespace !== '' ? `${resource.prefix}${namespace}/` : resource.prefix
}
