/** A list as the pieces of its body, in every format; an empty piece is a place where other work may go first. */
import { cborHead, encodeCborItem, SELF_DESCRIBED } from '../../../kube/cbor/cbor.ts'
import { envelopeOf, fieldHead } from '../../../kube/protobuf/protobuf.ts'
import type { KeyValue } from '../../store/store.ts'
import { decodeValue, itemPieces } from '../storage/encoding.ts'
import type { ServedResource } from '../storage/served-resource.ts'
import { PARTIAL_API_VERSION, partialMetadata } from './partial-metadata.ts'
import { renderTable } from './table.ts'
import { tableOptions, type View, viewBytes } from './view.ts'

const COMMA = Buffer.from(',')
const LIST_END = Buffer.from(']}\n')
const PAUSE = Buffer.alloc(0)
/** So many bytes of items are encoded between two pauses. */
const STEP_BYTES = 128 * 1024
const META_TYPES = 'io.k8s.apimachinery.pkg.apis.meta.v1'
const ITEMS = encodeCborItem('items')

export interface ListView {
  readonly resource: ServedResource
  readonly entries: readonly KeyValue[]
  readonly metadata: Readonly<Record<string, unknown>>
  readonly view: View
}

export function listPieces(list: ListView): Iterable<Buffer> {
  const { format } = list.view.encoding
  if (list.view.form === 'table') return [tableBody(list), list.view.encoding.end]
  if (format === 'protobuf') return protobufPieces(list)
  if (format === 'cbor') return cborPieces(list)
  if (format === 'json') return jsonPieces(list)
  const json = Buffer.concat([...jsonPieces(list)])
  return [list.view.encoding.encode(JSON.parse(json.toString('utf8')))]
}

function tableBody({ resource, entries, metadata, view }: ListView): Buffer {
  const objects = entries.map(kv => decodeValue(resource, kv))
  return view.encoding.encode(renderTable(objects, metadata, tableOptions(resource, view)))
}

function headOf({ resource, metadata, view }: ListView) {
  return view.form === 'partial-metadata'
    ? { kind: 'PartialObjectMetadataList', apiVersion: PARTIAL_API_VERSION, metadata }
    : { kind: resource.info.listKind, apiVersion: resource.apiVersion, metadata }
}

function* jsonPieces(list: ListView): Generator<Buffer> {
  const { resource, entries, view } = list
  yield Buffer.from(`${JSON.stringify(headOf(list)).slice(0, -1)},"items":[`)
  let first = true
  for (const kv of entries) {
    if (!first) yield COMMA
    first = false
    yield* view.form === 'partial-metadata' ? viewBytes(resource, kv, view) : itemPieces(resource, kv)
  }
  yield LIST_END
}

function* cborPieces(list: ListView): Generator<Buffer> {
  const { resource, entries, view } = list
  const { kind, apiVersion, metadata } = headOf(list)
  yield Buffer.concat([SELF_DESCRIBED, cborHead('map', 4)])
  const head = { kind, apiVersion, metadata }
  for (const [key, value] of Object.entries(head)) {
    yield Buffer.concat([encodeCborItem(key), encodeCborItem(value)])
  }
  yield Buffer.concat([ITEMS, cborHead('array', entries.length)])
  for (const kv of entries) {
    const object = decodeValue(resource, kv)
    const { apiVersion: _a, kind: _k, ...typed } = object
    const item = resource.custom === undefined ? typed : object
    yield encodeCborItem(view.form === 'partial-metadata' ? partialMetadata(object) : item)
  }
}

/** The envelope says how long the list is, so that all of it is encoded before the first byte is sent. */
function* protobufPieces(list: ListView): Generator<Buffer> {
  const { entries, view } = list
  const { kind, apiVersion, metadata } = headOf(list)
  const { protobuf } = view.encodings
  const items: Buffer[] = []
  const meta = protobuf.encode(`${META_TYPES}.ListMeta`, metadata)
  const add = (field: number, message: Buffer) => items.push(fieldHead(field, message.length), message)
  add(1, meta)
  let sincePause = 0
  for (const kv of entries) {
    const item = protobufItem(list, kv)
    add(2, item)
    sincePause += item.length
    if (sincePause < STEP_BYTES) continue
    sincePause = 0
    yield PAUSE
  }
  let bytes = 0
  for (const item of items) bytes += item.length
  const [head, end] = envelopeOf(apiVersion, kind, bytes)
  yield head
  yield* items
  yield end
}

function protobufItem({ resource, view }: ListView, kv: KeyValue): Buffer {
  if (view.form === 'object') return view.protobufItems.item(resource, kv, kv.modRevision)
  const object = partialMetadata(decodeValue(resource, kv))
  return view.encodings.protobuf.encode(`${META_TYPES}.PartialObjectMetadata`, object)
}
