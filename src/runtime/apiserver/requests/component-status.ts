/**
 * GET of ComponentStatuses: scheduler, controllers and datastore, as `kubectl get cs` shows them. The first two run
 * where the leader is, and the datastore takes writes where a leader is; so one read behind a barrier tells of all.
 */
import { messageOf } from '../../../base/errors.ts'
import type { KubeResponse } from '../../../client/transport.ts'
import type { KubeObject } from '../../../kube/object.ts'
import { notFound } from '../../../kube/status.ts'
import { PARTIAL_API_VERSION, partialMetadata } from '../views/partial-metadata.ts'
import { renderTable } from '../views/table.ts'
import { tableOptions, viewObject } from '../views/view.ts'
import { valueResponse } from './respond.ts'
import { negotiated, type RequestScope, viewOf } from './scope.ts'

const COMPONENTS = ['controller-manager', 'scheduler', 'etcd-0']
const DEPRECATED = 'v1 ComponentStatus is deprecated in v1.19+'

export async function componentStatus(scope: RequestScope): Promise<KubeResponse> {
  const { resource, info, warnings } = scope
  const view = viewOf(scope, negotiated(scope))
  if (info.verb === 'get' && !COMPONENTS.includes(info.name)) throw notFound(resource.info, info.name)
  warnings.push(DEPRECATED)
  const problem = await problemOf(scope)
  const all = COMPONENTS.map(name => statusOf(name, problem))
  const named = all.find(({ metadata }) => metadata.name === info.name)
  if (info.verb === 'get' && named !== undefined) {
    return valueResponse(200, viewObject(resource, named, view), view.encoding)
  }
  return valueResponse(200, listOf(all), view.encoding)

  function listOf(items: readonly KubeObject[]): unknown {
    if (view.form === 'table') return renderTable(items, {}, tableOptions(resource, view))
    const isWhole = view.form === 'object'
    const head = isWhole
      ? { kind: resource.info.listKind, apiVersion: resource.apiVersion }
      : { kind: 'PartialObjectMetadataList', apiVersion: PARTIAL_API_VERSION }
    return { ...head, metadata: {}, items: isWhole ? items : items.map(partialMetadata) }
  }
}

async function problemOf({ context, signal }: RequestScope): Promise<string | null> {
  try {
    await context.store.barrier(signal)
    return null
  } catch (error) {
    return messageOf(error)
  }
}

function statusOf(name: string, problem: string | null): KubeObject {
  const condition =
    problem === null
      ? { type: 'Healthy', status: 'True', message: 'ok' }
      : { type: 'Healthy', status: 'False', error: problem }
  return { apiVersion: 'v1', kind: 'ComponentStatus', metadata: { name }, conditions: [condition] }
}
