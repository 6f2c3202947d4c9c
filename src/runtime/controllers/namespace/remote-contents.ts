/** What extension API servers keep in a namespace: they have no informers here, so they are asked. */
import { messageOf } from '../../../base/errors.ts'
import { isNotFound, type KubeClient, type ResourceRef } from '../../../client/kube-client.ts'
import { remoteServices } from '../../../kube/extension-services.ts'
import type { KubeObject } from '../../../kube/object.ts'
import type { APIService } from '../../../kube/types.ts'
import { finalizersOf, type Remaining } from './plan.ts'

export interface RemoteContents {
  readonly remaining: readonly Remaining[]
  /** Those that cannot be asked, and why; null: none. */
  readonly failure: string | null
}

const PAGE = 500
const NOTHING: RemoteContents = { remaining: [], failure: null }

/** Of every resource in namespaces that lists and deletes, in the version that its server likes best. */
export async function remoteContents(
  client: KubeClient,
  services: readonly APIService[],
  namespace: string,
): Promise<RemoteContents> {
  const remote = remoteServices(services)
  if (remote.length === 0) return NOTHING
  const found = new Map<string, ResourceRef>()
  const failed: string[] = []
  const remaining: Remaining[] = []
  for (const { spec } of remote) {
    const { group = '', version = '' } = spec ?? {}
    try {
      for (const { name, verbs, namespaced } of await client.discover(group, version)) {
        const isUsable = namespaced && verbs.includes('list') && verbs.includes('delete')
        const ref = { group, version, resource: name, namespaced }
        if (isUsable && !name.includes('/')) found.getOrInsert(`${group}/${name}`, ref)
      }
    } catch (error) {
      failed.push(`${group}/${version}: ${messageOf(error)}`)
    }
  }
  for (const resource of found.values()) {
    const objects = await listAll(client, resource, namespace)
    remaining.push({ resource, count: objects.length, finalizers: finalizersOf(objects) })
  }
  return { remaining, failure: failed.length === 0 ? null : failureOf(failed) }
}

const failureOf = (failed: readonly string[]): string =>
  `Discovery failed for some groups, ${failed.length} failing: unable to retrieve the complete list of server ` +
  `APIs: ${failed.join(', ')}`

async function listAll(client: KubeClient, resource: ResourceRef, namespace: string): Promise<KubeObject[]> {
  const objects: KubeObject[] = []
  let next: string | undefined
  do {
    const options = { namespace, limit: PAGE, metadataOnly: true, continue: next }
    const page = await client.list(resource, options).catch(error => {
      if (isNotFound(error)) return { items: [], continue: undefined }
      throw error
    })
    objects.push(...page.items)
    next = page.continue
  } while (next !== undefined)
  return objects
}
