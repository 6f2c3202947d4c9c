/** One object in the form and the encoding that the client asked for. */
import type { KubeObject } from '../../../kube/object.ts'
import { inEnvelope } from '../../../kube/protobuf/protobuf.ts'
import { badRequest } from '../../../kube/status.ts'
import type { KeyValue } from '../../store/store.ts'
import type { ObjectForm } from '../negotiation/accept.ts'
import type { Encoding, Encodings } from '../negotiation/encodings.ts'
import { decodeValue, servedPieces } from '../storage/encoding.ts'
import type { ServedResource } from '../storage/served-resource.ts'
import { partialMetadata } from './partial-metadata.ts'
import type { ProtobufItems } from './protobuf-items.ts'
import { defaultTable, type IncludeObject, renderTable, type TableOptions } from './table.ts'

export interface View {
  readonly form: ObjectForm
  readonly include: IncludeObject
  readonly nowMs: number
  readonly encoding: Encoding
  readonly encodings: Encodings
  readonly protobufItems: ProtobufItems
}

/** Reads `includeObject`; throws 400 for a word it does not know. */
export function includeObjectOf(query: URLSearchParams): IncludeObject {
  const value = query.get('includeObject') ?? ''
  if (value === '' || value === 'Metadata') return 'Metadata'
  if (value === 'None' || value === 'Object') return value
  throw badRequest(`unrecognized includeObject value: ${JSON.stringify(value)}`)
}

export const tableOptions = (resource: ServedResource, view: View): TableOptions => ({
  spec: resource.strategy.table ?? defaultTable,
  include: view.include,
  nowMs: view.nowMs,
})

/** The object as the view shows it. */
export function viewObject(resource: ServedResource, object: KubeObject, view: View): unknown {
  if (view.form === 'object') return object
  if (view.form === 'partial-metadata') return partialMetadata(object)
  const { resourceVersion } = object.metadata
  return renderTable([object], { resourceVersion }, tableOptions(resource, view))
}

/** One stored object in the view; for its plain form in JSON nothing is parsed. */
export function viewBytes(
  resource: ServedResource,
  kv: KeyValue,
  view: View,
  revision = kv.modRevision,
): Buffer[] {
  const { encoding } = view
  if (view.form === 'object' && encoding.format === 'json') return servedPieces(resource, kv, revision)
  if (view.form === 'object' && encoding.format === 'protobuf') {
    const item = view.protobufItems.item(resource, kv, revision)
    return [inEnvelope(resource.apiVersion, resource.info.kind, item)]
  }
  const object = decodeValue(resource, kv)
  object.metadata.resourceVersion = String(revision)
  return [encoding.encode(viewObject(resource, object, view))]
}
