/** Requests that other parts answer: tokens, reviews, bindings, evictions; and what those parts may do. */

import { must } from '../../../base/assert.ts'
import type { KubeResponse } from '../../../client/transport.ts'
import type { ResourceInfo } from '../../../kube/model-types.ts'
import type { ApiContext } from '../context.ts'
import type { ObjectWriter, VirtualHandler } from '../ports.ts'
import { admitBody } from './admit-body.ts'
import { decodeBody } from './decode-body.ts'
import { deleteObject } from './delete-object.ts'
import { parseDeleteOptions } from './delete-options.ts'
import { textResponse, valueResponse } from './respond.ts'
import { negotiated, type RequestScope } from './scope.ts'
import { updateObject } from './update-object.ts'
import { parseWriteOptions } from './write-options.ts'

/** The generic path as virtual handlers get it. */
function createObjectWriter(context: ApiContext): ObjectWriter {
  const internal = (info: ResourceInfo) =>
    must(context.resources.stored(info.group, info.resource), `resource ${info.resource}`)
  return {
    async update(target, change, options) {
      const written = await updateObject(context, {
        resource: internal(target.resource),
        namespace: target.namespace,
        name: target.name,
        subresource: options.subresource ?? '',
        caller: {
          user: options.user,
          dryRun: options.dryRun ?? false,
          term: options.term,
          signal: undefined,
        },
        mayOmitRevision: true,
        change,
      })
      return written.object
    },
    async delete(target, options) {
      const deleteOptions = parseDeleteOptions(new URLSearchParams(), options.body ?? null)
      const dryRun = (options.dryRun ?? false) || deleteOptions.dryRun
      const deleted = await deleteObject(context, {
        resource: internal(target.resource),
        namespace: target.namespace,
        name: target.name,
        options: deleteOptions,
        caller: { user: options.user, dryRun, term: options.term, signal: undefined },
      })
      return deleted.object
    },
  }
}

export async function runVirtual(scope: RequestScope, handler: VirtualHandler): Promise<KubeResponse> {
  const { info, context } = scope
  // What is asked and not kept has neither a table nor metadata.
  const accepted = negotiated(scope, { allowConversion: scope.resource.info.verbs.includes('get') })
  const options = parseWriteOptions(scope.query, 'CreateOptions')
  const body = scope.body === null ? null : decodeBody(scope, { fieldValidation: options.fieldValidation })
  if (body !== null && info.verb === 'create') await admitBody(scope, body, options.dryRun)
  const result = await handler.handle(
    {
      user: scope.user,
      verb: info.verb,
      resource: scope.resource.info,
      subresource: info.subresource,
      namespace: info.namespace,
      name: info.name,
      query: scope.query,
      headers: scope.headers,
      body,
      dryRun: options.dryRun,
      signal: scope.signal,
      ...(scope.term === undefined ? {} : { term: scope.term }),
    },
    { objects: context.objects, writer: createObjectWriter(context) },
  )
  if (result.response !== undefined) return result.response
  if (result.object === undefined) return textResponse(result.status, '')
  return valueResponse(result.status, result.object, accepted.encoding)
}
