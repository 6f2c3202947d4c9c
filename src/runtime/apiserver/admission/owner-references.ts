/** Whoever makes an object's life depend on an owner has to be allowed to end both. */
import { isDeepStrictEqual } from 'node:util'
import type { OwnerReference } from '../../../kube/object.ts'
import type { AdmissionPlugin, AdmissionRequest, Authorizer, RequestAttributes } from '../ports.ts'
import { refuse } from './refuse.ts'

export function ownerReferencesPermissionEnforcement(authorizer: Authorizer): AdmissionPlugin {
  return {
    name: 'OwnerReferencesPermissionEnforcement',
    async validate(request) {
      const { operation, resource, subresource, object, oldObject } = request
      if (operation !== 'CREATE' && operation !== 'UPDATE') return
      if (resource.group === '' && resource.resource === 'pods' && subresource === 'status') return
      const owners = object?.metadata?.ownerReferences ?? []
      const before = oldObject?.metadata?.ownerReferences ?? []
      if (isDeepStrictEqual(plain(owners), plain(before))) return
      await checkDelete(request, authorizer)
      const blocks = new Set(
        before.filter(({ blockOwnerDeletion }) => blockOwnerDeletion).map(({ uid }) => uid),
      )
      const blocking = owners.filter(owner => owner.blockOwnerDeletion && !blocks.has(owner.uid))
      if (blocking.length === 0) return
      const anything = { group: '*', version: '*', resource: '*', name: '*', namespace: '' }
      if ((await authorizer.authorize(finalizing(request, anything))).allowed) return
      for (const owner of blocking) await checkFinalize(request, authorizer, owner)
    },
  }
}

const plain = (owners: readonly OwnerReference[]) => owners.map(owner => ({ ...owner }))

async function checkDelete(request: AdmissionRequest, authorizer: Authorizer): Promise<void> {
  const { resource, subresource, namespace, name, user } = request
  const decision = await authorizer.authorize({
    ...{ user, verb: 'delete', isResource: true, path: '', namespace, name, subresource },
    ...{ group: resource.group, version: resource.version, resource: resource.resource },
  })
  if (decision.allowed) return
  const { reason, error = '<nil>' } = decision
  throw refuse(request, `cannot set an ownerRef on a resource you can't delete: ${reason}, ${error}`)
}

type Target = Pick<RequestAttributes, 'group' | 'version' | 'resource' | 'name' | 'namespace'>

const finalizing = ({ user }: AdmissionRequest, target: Target): RequestAttributes => ({
  ...{ user, verb: 'update', isResource: true, path: '', subresource: 'finalizers' },
  ...target,
})

/** Who blocks the deletion of an owner could do the same with a finalizer of it. */
async function checkFinalize(
  request: AdmissionRequest,
  authorizer: Authorizer,
  { apiVersion, kind, name }: OwnerReference,
): Promise<void> {
  const slash = apiVersion.indexOf('/')
  const group = slash === -1 ? '' : apiVersion.slice(0, slash)
  const version = apiVersion.slice(slash + 1)
  const found = request.cluster.resourceOfKind({ group, version, kind })
  if (found === undefined) {
    const why = `no matches for kind ${JSON.stringify(kind)} in version ${JSON.stringify(apiVersion)}`
    const what = `cannot find RESTMapping for APIVersion ${apiVersion} Kind ${kind}: ${why}`
    throw refuse(request, `cannot set blockOwnerDeletion in this case because ${what}`)
  }
  const namespace = found.namespaced ? request.namespace : ''
  const target = { group, version, resource: found.resource, name, namespace }
  const decision = await authorizer.authorize(finalizing(request, target))
  if (decision.allowed) return
  const { reason, error = '<nil>' } = decision
  const what = "if an ownerReference refers to a resource you can't set finalizers on"
  throw refuse(request, `cannot set blockOwnerDeletion ${what}: ${reason}, ${error}`)
}
