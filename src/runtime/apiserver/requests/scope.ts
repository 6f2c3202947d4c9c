/** One request for a resource, as the verbs see it. */

import type { KubeResponse } from '../../../client/transport.ts'
import type { SubresourceInfo } from '../../../kube/model-types.ts'
import { noSuchForm, notAcceptable } from '../../../kube/status.ts'
import type { Waits } from '../authenticated-request.ts'
import type { ApiContext } from '../context.ts'
import { negotiate, type ObjectForm } from '../negotiation/accept.ts'
import type { Encoding } from '../negotiation/encodings.ts'
import { SERVED_STREAM_TYPES, SERVED_TYPES } from '../negotiation/media-types.ts'
import type { ServedResource } from '../storage/served-resource.ts'
import type { UserInfo } from '../user.ts'
import { includeObjectOf, type View } from '../views/view.ts'
import type { RequestInfo } from './request-info.ts'

export interface RequestScope {
  readonly context: ApiContext
  readonly info: RequestInfo
  readonly resource: ServedResource
  readonly subresource: SubresourceInfo | null
  readonly user: UserInfo
  readonly method: string
  readonly query: URLSearchParams
  readonly headers: Readonly<Record<string, string>>
  readonly body: Uint8Array | null
  readonly term: number | undefined
  /** Aborted when the client goes, the time is over or the server stops. */
  readonly signal: AbortSignal
  /** Sent as Warning headers. */
  readonly warnings: string[]
  /** What admission says of the request for the audit log. */
  readonly auditAnnotations: Map<string, string>
  readonly waits: Waits | undefined
}

export interface Accepted {
  readonly encoding: Encoding
  readonly form: ObjectForm
}

/** What the client wants to see; throws 406 when nothing of it can be served. */
export function negotiated(
  scope: RequestScope,
  { isWatch = false, allowConversion = true }: { isWatch?: boolean; allowConversion?: boolean } = {},
): Accepted {
  const { custom } = scope.resource
  const found = negotiate(scope.headers['accept'], {
    allowConversion,
    hasProtobuf: custom === undefined || scope.info.subresource === 'scale',
    isWatch,
  })
  if (found === null) throw notAcceptable(SERVED_TYPES)
  if (isWatch && found.format === 'yaml') throw notAcceptable(SERVED_STREAM_TYPES)
  if (found.form === 'partial-metadata') checkIsThat(scope, found.as)
  return { encoding: scope.context.encodings.of(found.format), form: found.form }
}

/** The metadata of a list is a list; of a watch either word will do. */
function checkIsThat({ info, resource }: RequestScope, as: string | undefined): void {
  if (info.verb === 'watch') return
  const isList = info.verb === 'list'
  if (isList === (as === 'PartialObjectMetadataList')) return
  const { kind, group } = resource.info
  const plain = resource.custom === undefined ? `${packageOf(group)}.${kind}` : 'unstructured.Unstructured'
  throw noSuchForm(
    isList
      ? `you requested PartialObjectMetadata, but the requested object is a list (*${plain}List)`
      : `you requested PartialObjectMetadataList, but the requested object is not a list (*${plain})`,
  )
}

/** Where upstream has the types of a group. */
const packageOf = (group: string): string =>
  group === '' || group === 'events.k8s.io' ? 'core' : (group.split('.')[0] ?? '')

export function viewOf({ context, query }: RequestScope, { encoding, form }: Accepted): View {
  const { encodings, protobufItems } = context
  const include = form === 'table' ? includeObjectOf(query) : 'Metadata'
  return { form, include, nowMs: context.clock.now(), encoding, encodings, protobufItems }
}

export type Verb = (scope: RequestScope) => Promise<KubeResponse>
