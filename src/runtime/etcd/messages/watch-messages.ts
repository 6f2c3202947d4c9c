/** The requests of etcd's Watch service, and events as they go over the wire. */
import { WireReader } from '../../../base/wire-reader.ts'
import { WireWriter } from '../../../base/wire-writer.ts'
import type { StoreEvent } from '../../store/store.ts'
import { keyToBytes } from '../keys.ts'
import { writeKeyValue } from './kv-messages.ts'

const EMPTY = Buffer.alloc(0)
const EVENTS_FIELD = 11
const DELETE = 1
const FILTER_NO_PUT = 0
const FILTER_NO_DELETE = 1

export interface WatchCreateRequest {
  key: Buffer
  rangeEnd: Buffer
  startRevision: number
  progressNotify: boolean
  noPut: boolean
  noDelete: boolean
  prevKv: boolean
  watchId: number
  fragment: boolean
}

export type WatchRequestUnion =
  | { readonly type: 'create'; readonly create: WatchCreateRequest }
  | { readonly type: 'cancel'; readonly watchId: number }
  | { readonly type: 'progress' }

/** Null for a request of a kind that is not known. */
export function readWatchRequest(bytes: Buffer): WatchRequestUnion | null {
  let request: WatchRequestUnion | null = null
  for (const reader = new WireReader(bytes); reader.next(); ) {
    if (reader.field === 1) request = { type: 'create', create: readCreate(reader.bytes()) }
    else if (reader.field === 2) request = { type: 'cancel', watchId: readFirstNumber(reader.bytes()) }
    else if (reader.field === 3) {
      reader.skip()
      request = { type: 'progress' }
    } else reader.skip()
  }
  return request
}

function readCreate(bytes: Buffer): WatchCreateRequest {
  const create: WatchCreateRequest = {
    key: EMPTY,
    rangeEnd: EMPTY,
    startRevision: 0,
    progressNotify: false,
    noPut: false,
    noDelete: false,
    prevKv: false,
    watchId: 0,
    fragment: false,
  }
  for (const reader = new WireReader(bytes); reader.next(); ) {
    if (reader.field === 1) create.key = reader.bytes()
    else if (reader.field === 2) create.rangeEnd = reader.bytes()
    else if (reader.field === 3) create.startRevision = reader.int64()
    else if (reader.field === 4) create.progressNotify = reader.bool()
    else if (reader.field === 5) readFilters(create, reader)
    else if (reader.field === 6) create.prevKv = reader.bool()
    else if (reader.field === 7) create.watchId = reader.int64()
    else if (reader.field === 8) create.fragment = reader.bool()
    else reader.skip()
  }
  return create
}

/** Clients pack them into bytes; one by one is allowed too. */
function readFilters(create: WatchCreateRequest, reader: WireReader): void {
  for (const filter of reader.packedInt64()) {
    if (filter === FILTER_NO_PUT) create.noPut = true
    if (filter === FILTER_NO_DELETE) create.noDelete = true
  }
}

/** Of a message whose only field that counts is the number in field 1. */
export function readFirstNumber(bytes: Buffer): number {
  let number = 0
  for (const reader = new WireReader(bytes); reader.next(); ) {
    if (reader.field === 1) number = reader.int64()
    else reader.skip()
  }
  return number
}

/** An event is encoded once for all watchers, as the element of a WatchResponse that it becomes. */
const encoded = new WeakMap<StoreEvent, Buffer>()

export function encodeEvent(event: StoreEvent, prevKv: boolean): Buffer {
  if (prevKv) return writeEvent(event, true)
  const known = encoded.get(event)
  if (known !== undefined) return known
  const bytes = writeEvent(event, false)
  encoded.set(event, bytes)
  return bytes
}

function writeEvent(event: StoreEvent, prevKv: boolean): Buffer {
  const size = event.type === 'put' ? event.kv.value.length : 0
  const writer = new WireWriter(0, 128 + size)
  writer.message(EVENTS_FIELD, inner => {
    if (event.type === 'put') {
      writeKeyValue(inner, 2, event.kv)
    } else {
      inner.int64(1, DELETE)
      inner.message(2, kv => {
        kv.bytes(1, keyToBytes(event.key))
        kv.int64(3, event.revision)
      })
    }
    if (prevKv && event.previous !== null) writeKeyValue(inner, 3, event.previous)
  })
  return writer.finish()
}
