/** One object, one list or one watch event in the form the client asked for. */
import type { KubeObject } from '../../../kube/object.ts'
import { badRequest } from '../../../kube/status.ts'
import type { KeyValue } from '../../store/store.ts'
import type { ObjectForm } from '../negotiation/accept.ts'
import { decodeValue, itemPieces, servedPieces } from '../storage/encoding.ts'
import type { ServedResource } from '../storage/served-resource.ts'
import { partialMetadata } from './partial-metadata.ts'
import { defaultTable, type IncludeObject, renderTable, type TableOptions } from './table.ts'

export interface View {
  readonly form: ObjectForm
  readonly include: IncludeObject
  readonly nowMs: number
}

/** Reads `includeObject`; throws 400 for a word it does not know. */
export function includeObjectOf(query: URLSearchParams): IncludeObject {
  const value = query.get('includeObject') ?? ''
  if (value === '' || value === 'Metadata') return 'Metadata'
  if (value === 'None' || value === 'Object') return value
  throw badRequest(`unrecognized includeObject value: ${JSON.stringify(value)}`)
}

const tableOptions = (resource: ServedResource, view: View): TableOptions => ({
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

/** The JSON of one stored object in the view; nothing is parsed for the plain form. */
export function viewBytes(resource: ServedResource, kv: KeyValue, view: View, revision?: number): Buffer[] {
  if (view.form === 'object') return servedPieces(resource, kv, revision)
  const object = decodeValue(resource, kv)
  if (revision !== undefined) object.metadata.resourceVersion = String(revision)
  return [Buffer.from(JSON.stringify(viewObject(resource, object, view)))]
}

/** The pieces of a list's JSON in the view. */
export function* listPieces(
  resource: ServedResource,
  entries: readonly KeyValue[],
  metadata: Readonly<Record<string, unknown>>,
  view: View,
): Generator<Buffer> {
  if (view.form === 'table') {
    const objects = entries.map(kv => decodeValue(resource, kv))
    yield Buffer.from(`${JSON.stringify(renderTable(objects, metadata, tableOptions(resource, view)))}\n`)
    return
  }
  const partial = view.form === 'partial-metadata'
  const kind = partial ? 'PartialObjectMetadataList' : resource.info.listKind
  const apiVersion = partial ? 'meta.k8s.io/v1' : resource.apiVersion
  const head = JSON.stringify({ kind, apiVersion, metadata })
  yield Buffer.from(`${head.slice(0, -1)},"items":[`)
  let first = true
  for (const kv of entries) {
    if (!first) yield COMMA
    first = false
    yield* partial ? viewBytes(resource, kv, view) : itemPieces(resource, kv)
  }
  yield LIST_END
}

const COMMA = Buffer.from(',')
const LIST_END = Buffer.from(']}\n')
