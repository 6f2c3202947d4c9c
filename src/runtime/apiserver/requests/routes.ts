/** From what is asked to the verb that does it: resources, subresources, and what neither knows. */

import type { KubeResponse } from '../../../client/transport.ts'
import {
  methodNotAllowed,
  methodNotSupported,
  noSuchPath,
  notFound,
  StatusError,
} from '../../../kube/status.ts'
import type { IncomingRequest } from '../authenticated-request.ts'
import type { ApiContext } from '../context.ts'
import type { CustomForm } from '../storage/custom-form.ts'
import type { ServedResource } from '../storage/served-resource.ts'
import { bindNamed } from './binding.ts'
import { componentStatus } from './component-status.ts'
import { create } from './create.ts'
import { deleteOne } from './delete.ts'
import { deleteCollection } from './delete-collection.ts'
import { fellBehind } from './fell-behind.ts'
import { get } from './get.ts'
import { list } from './list.ts'
import { patch } from './patch.ts'
import type { RequestInfo } from './request-info.ts'
import type { RequestScope, Verb } from './scope.ts'
import { subresourceVerb } from './subresources.ts'
import { update } from './update.ts'
import { runVirtual } from './virtual.ts'
import { watch } from './watch.ts'

const verbs: Readonly<Record<string, Verb>> = {
  create,
  get,
  list,
  watch,
  update,
  patch,
  delete: deleteOne,
  deletecollection: deleteCollection,
}

export type ResourceRoutes = (
  request: IncomingRequest,
  info: RequestInfo,
  warnings: string[],
) => Promise<KubeResponse>

export function createResourceRoutes(context: ApiContext): ResourceRoutes {
  return async (request, info, warnings) => {
    const resource = await findResource(context, info, request.signal)
    if (resource === undefined || !isInPlace(resource, info)) throw noSuchPath()
    if (resource.custom !== undefined) considerDefinition(resource.custom, info, warnings)
    const scope = scopeOf(context, request, info, resource, warnings)
    return verbOf(scope)(scope)
  }
}

/** A kind that was defined through another server a moment ago may have yet to be applied here. */
async function findResource(
  { resources, store }: ApiContext,
  { group, version, resource }: RequestInfo,
  signal: AbortSignal | undefined,
): Promise<ServedResource | undefined> {
  const found = resources.find(group, version, resource)
  if (found !== undefined || !group.includes('.')) return found
  await fellBehind(store, signal)
  return resources.find(group, version, resource)
}

/** What the state of a custom resource's definition means for the request. */
function considerDefinition(custom: CustomForm, info: RequestInfo, warnings: string[]): void {
  if (custom.warning !== null) warnings.push(custom.warning)
  if (!custom.isTerminating || info.verb !== 'create' || info.subresource !== '') return
  const { status } = methodNotSupported(info, info.verb)
  const message = `${info.verb} not allowed while custom resource definition is terminating`
  throw new StatusError({ ...status, message })
}

/** Cluster-wide resources have no namespace; namespaced ones need one for everything but list and watch. */
function isInPlace(resource: ServedResource, info: RequestInfo): boolean {
  const isNamespaceItself = info.group === '' && info.resource === 'namespaces'
  if (!resource.info.namespaced) return info.namespace === '' || isNamespaceItself
  if (info.namespace !== '') return true
  if (info.name !== '') return false
  if (info.verb === 'list' || info.verb === 'watch') return true
  throw methodNotAllowed()
}

function scopeOf(
  context: ApiContext,
  request: IncomingRequest,
  info: RequestInfo,
  resource: ServedResource,
  warnings: string[],
): RequestScope {
  const subresource = resource.info.subresources.find(one => one.name === info.subresource) ?? null
  if (info.subresource !== '' && subresource === null) {
    throw resource.custom === undefined ? noSuchPath() : notFound(resource.info, info.name)
  }
  const isNamespace = info.group === '' && info.resource === 'namespaces'
  return {
    context,
    info: isNamespace ? { ...info, namespace: '' } : info,
    resource,
    subresource,
    user: request.user,
    method: request.method,
    query: request.query,
    headers: request.headers,
    body: request.body ?? null,
    term: request.term,
    signal: request.signal ?? context.stopping.signal,
    warnings,
    auditAnnotations: request.audit?.annotations ?? new Map(),
    waits: request.waits,
  }
}

function verbOf(scope: RequestScope): Verb {
  const { info, resource, subresource, context } = scope
  const virtual = context.virtualHandler(info.group, info.resource, info.subresource)
  const known = subresource === null ? resource.info.verbs : subresource.verbs
  const lacksName = info.name === '' && (info.verb === 'update' || info.verb === 'patch')
  // What a proxy leads to may understand other methods.
  const isKnown = known.includes(info.verb) || (info.subresource === 'proxy' && info.verb === '')
  const hasName = info.name !== '' && info.verb === 'create' && subresource === null
  if (lacksName || hasName || !isKnown) throw refusal(scope)
  if (virtual !== undefined) return one => runVirtual(one, virtual)
  if (info.group === '' && info.resource === 'bindings') return bindNamed
  if (info.group === '' && info.resource === 'componentstatuses') return componentStatus
  // Reviews are questions, not objects: without somebody to answer them nothing is stored.
  const isQuestion = subresource === null && !known.includes('get')
  if (isQuestion) throw notServed(scope)
  const verb = subresource === null ? verbs[info.verb] : subresourceVerb(scope, subresource.name)
  if (verb === undefined) throw notServed(scope)
  return verb
}

const refusal = (scope: RequestScope) =>
  scope.info.rest === '' ? methodNotAllowed() : methodNotSupported(scope.resource.info, scope.info.verb)

/** What the model knows and this server does not do (yet). */
function notServed({ info }: RequestScope): StatusError {
  const what = info.subresource === '' ? info.resource : `${info.resource}/${info.subresource}`
  return new StatusError({
    kind: 'Status',
    apiVersion: 'v1',
    metadata: {},
    status: 'Failure',
    message: `this server does not serve ${info.verb} of ${what} yet`,
    reason: 'NotImplemented',
    code: 501,
  })
}
