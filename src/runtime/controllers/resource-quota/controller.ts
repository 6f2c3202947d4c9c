/**
 * Keeps the status of quotas right. Writers account for themselves in their own transactions; this counts anew when
 * a quota is new or has changed, and now and then. Quota first, objects second: whoever writes in between changes
 * the quota too, so that a count that missed something is refused as a conflict and made again.
 */
import { isNotFound, type KubeClient } from '../../../client/kube-client.ts'
import { RESOURCE_QUOTAS, type ResourceRef } from '../../../client/resources.ts'
import { equalJson } from '../../../kube/equality.ts'
import type { KubeObject } from '../../../kube/object.ts'
import type { CountedResource } from '../../../kube/quota-usage.ts'
import type { ResourceQuota } from '../../../kube/types.ts'
import type { Controller, ControllerContext } from '../shared/context.ts'
import { keyedController, keysFrom } from '../shared/keyed-controller.ts'
import { countedResources, quotaStatus } from './plan.ts'

const SERVICE_ACCOUNT = 'resourcequota-controller'
const RECOUNT_MS = 5 * 60_000
const PAGE = 500

interface Counted {
  readonly uid: string
  readonly untilMs: number
}

export function createResourceQuotaController(context: ControllerContext): Controller {
  const quotas = context.informers.informer<ResourceQuota>(RESOURCE_QUOTAS)
  const client = context.client(SERVICE_ACCOUNT)
  const { clock } = context
  /** Quotas whose count was right the last time. */
  const settled = new Map<string, Counted>()
  return keyedController({
    name: SERVICE_ACCOUNT,
    context,
    sources: [keysFrom(quotas, ({ metadata }) => [`${metadata.namespace}/${metadata.name}`])],
    async reconcile(key) {
      const quota = quotas.get(key)
      if (quota === undefined) {
        settled.delete(key)
        return undefined
      }
      const last = settled.get(key)
      const leftMs = (last?.untilMs ?? 0) - clock.monotonic()
      const isSame = last?.uid === quota.metadata.uid && equalJson(quota.spec?.hard, quota.status?.hard)
      if (isSame && leftMs > 0) return leftMs
      settled.delete(key)
      const isRight = await recount(context, client, quota)
      if (isRight)
        settled.set(key, { uid: quota.metadata.uid ?? '', untilMs: clock.monotonic() + RECOUNT_MS })
      return isRight ? RECOUNT_MS : undefined
    },
  })
}

/** True when nothing had to be changed; otherwise the change itself comes back and is looked at once more. */
async function recount(
  context: ControllerContext,
  client: KubeClient,
  { metadata }: ResourceQuota,
): Promise<boolean> {
  const { namespace } = metadata
  const fieldSelector = `metadata.name=${metadata.name}`
  const { items } = await client.list<ResourceQuota & KubeObject>(RESOURCE_QUOTAS, {
    namespace,
    fieldSelector,
  })
  const [quota] = items
  if (quota === undefined) return false
  const objects: { readonly resource: CountedResource; readonly items: readonly KubeObject[] }[] = []
  for (const resource of countedResources(quota)) {
    const ref = refOf(context, resource)
    if (ref !== undefined) objects.push({ resource, items: await listAll(client, ref, namespace) })
  }
  const status = quotaStatus(quota, objects)
  if (equalJson(status, quota.status ?? {})) return true
  try {
    await client.update(RESOURCE_QUOTAS, { ...quota, status }, { subresource: 'status' })
  } catch (error) {
    if (!isNotFound(error)) throw error
  }
  return false
}

function refOf(context: ControllerContext, { group, resource }: CountedResource): ResourceRef | undefined {
  const { model, custom } = context
  const info = model.resources.find(one => {
    const isNamed = one.group === group && one.resource === resource
    return isNamed && one.namespaced && one.verbs.includes('list')
  })
  if (info === undefined) {
    const isNamed = (one: ResourceRef) => one.group === group && one.resource === resource && one.namespaced
    return custom.all.map(one => one.resource).find(isNamed)
  }
  return { group, version: info.version, resource, namespaced: true }
}

async function listAll(
  client: KubeClient,
  resource: ResourceRef,
  namespace: string | undefined,
): Promise<KubeObject[]> {
  const all: KubeObject[] = []
  let next: string | undefined
  do {
    const page = await client.list<KubeObject>(resource, { namespace, limit: PAGE, continue: next })
    all.push(...page.items)
    next = page.continue
  } while (next !== undefined)
  return all
}
