/** The requests of etcd's KV service as they come over the wire, and a key with its value as it goes. */
import { WireReader } from '../../../base/wire-reader.ts'
import type { WireWriter } from '../../../base/wire-writer.ts'
import type { KeyValue, Revision } from '../../store/store.ts'
import { keyToBytes } from '../keys.ts'

const EMPTY = Buffer.alloc(0)

export interface RangeRequest {
  key: Buffer
  rangeEnd: Buffer
  limit: number
  revision: number
  sortOrder: number
  sortTarget: number
  serializable: boolean
  keysOnly: boolean
  countOnly: boolean
  minModRevision: number
  maxModRevision: number
  minCreateRevision: number
  maxCreateRevision: number
}

export function readRangeRequest(bytes: Buffer): RangeRequest {
  const request: RangeRequest = {
    key: EMPTY,
    rangeEnd: EMPTY,
    limit: 0,
    revision: 0,
    sortOrder: 0,
    sortTarget: 0,
    serializable: false,
    keysOnly: false,
    countOnly: false,
    minModRevision: 0,
    maxModRevision: 0,
    minCreateRevision: 0,
    maxCreateRevision: 0,
  }
  for (const reader = new WireReader(bytes); reader.next(); ) readRangeField(request, reader)
  return request
}

function readRangeField(request: RangeRequest, reader: WireReader): void {
  switch (reader.field) {
    case 1:
      request.key = reader.bytes()
      return
    case 2:
      request.rangeEnd = reader.bytes()
      return
    case 3:
      request.limit = reader.int64()
      return
    case 4:
      request.revision = reader.int64()
      return
    case 5:
      request.sortOrder = reader.int64()
      return
    case 6:
      request.sortTarget = reader.int64()
      return
    case 7:
      request.serializable = reader.bool()
      return
    case 8:
      request.keysOnly = reader.bool()
      return
    case 9:
      request.countOnly = reader.bool()
      return
    case 10:
      request.minModRevision = reader.int64()
      return
    case 11:
      request.maxModRevision = reader.int64()
      return
    case 12:
      request.minCreateRevision = reader.int64()
      return
    case 13:
      request.maxCreateRevision = reader.int64()
      return
    default:
      reader.skip()
  }
}

export interface PutRequest {
  key: Buffer
  /** A copy: the store keeps it. */
  value: Buffer
  lease: number
  prevKv: boolean
  ignoreValue: boolean
  ignoreLease: boolean
}

export function readPutRequest(bytes: Buffer): PutRequest {
  const request: PutRequest = {
    key: EMPTY,
    value: EMPTY,
    lease: 0,
    prevKv: false,
    ignoreValue: false,
    ignoreLease: false,
  }
  for (const reader = new WireReader(bytes); reader.next(); ) {
    if (reader.field === 1) request.key = reader.bytes()
    else if (reader.field === 2) request.value = Buffer.from(reader.bytes())
    else if (reader.field === 3) request.lease = reader.int64()
    else if (reader.field === 4) request.prevKv = reader.bool()
    else if (reader.field === 5) request.ignoreValue = reader.bool()
    else if (reader.field === 6) request.ignoreLease = reader.bool()
    else reader.skip()
  }
  return request
}

export interface DeleteRangeRequest {
  key: Buffer
  rangeEnd: Buffer
  prevKv: boolean
}

export function readDeleteRangeRequest(bytes: Buffer): DeleteRangeRequest {
  const request: DeleteRangeRequest = { key: EMPTY, rangeEnd: EMPTY, prevKv: false }
  for (const reader = new WireReader(bytes); reader.next(); ) {
    if (reader.field === 1) request.key = reader.bytes()
    else if (reader.field === 2) request.rangeEnd = reader.bytes()
    else if (reader.field === 3) request.prevKv = reader.bool()
    else reader.skip()
  }
  return request
}

export interface CompareRequest {
  result: number
  target: number
  key: Buffer
  rangeEnd: Buffer
  /** Version, create revision, mod revision or lease, whichever the target says. */
  number: number
  value: Buffer
}

export type RequestOp =
  | { readonly type: 'range'; readonly range: RangeRequest }
  | { readonly type: 'put'; readonly put: PutRequest }
  | { readonly type: 'delete'; readonly deletion: DeleteRangeRequest }
  | { readonly type: 'txn'; readonly txn: TxnRequest }

export interface TxnRequest {
  readonly compares: CompareRequest[]
  readonly success: RequestOp[]
  readonly failure: RequestOp[]
}

export function readTxnRequest(bytes: Buffer): TxnRequest {
  const request: TxnRequest = { compares: [], success: [], failure: [] }
  for (const reader = new WireReader(bytes); reader.next(); ) {
    if (reader.field === 1) request.compares.push(readCompare(reader.bytes()))
    else if (reader.field === 2) request.success.push(...readRequestOp(reader.bytes()))
    else if (reader.field === 3) request.failure.push(...readRequestOp(reader.bytes()))
    else reader.skip()
  }
  return request
}

function readCompare(bytes: Buffer): CompareRequest {
  const compare: CompareRequest = {
    result: 0,
    target: 0,
    key: EMPTY,
    rangeEnd: EMPTY,
    number: 0,
    value: EMPTY,
  }
  for (const reader = new WireReader(bytes); reader.next(); ) {
    if (reader.field === 1) compare.result = reader.int64()
    else if (reader.field === 2) compare.target = reader.int64()
    else if (reader.field === 3) compare.key = reader.bytes()
    else if (reader.field === 7) compare.value = Buffer.from(reader.bytes())
    else if (reader.field >= 4 && reader.field <= 8) compare.number = reader.int64()
    else if (reader.field === 64) compare.rangeEnd = reader.bytes()
    else reader.skip()
  }
  return compare
}

/** One operation; none when it is of a kind that is not known. */
function readRequestOp(bytes: Buffer): RequestOp[] {
  let operation: RequestOp[] = []
  for (const reader = new WireReader(bytes); reader.next(); ) {
    if (reader.field === 1) operation = [{ type: 'range', range: readRangeRequest(reader.bytes()) }]
    else if (reader.field === 2) operation = [{ type: 'put', put: readPutRequest(reader.bytes()) }]
    else if (reader.field === 3) {
      operation = [{ type: 'delete', deletion: readDeleteRangeRequest(reader.bytes()) }]
    } else if (reader.field === 4) operation = [{ type: 'txn', txn: readTxnRequest(reader.bytes()) }]
    else reader.skip()
  }
  return operation
}

export function readCompactionRequest(bytes: Buffer): { readonly revision: Revision } {
  let revision = 0
  for (const reader = new WireReader(bytes); reader.next(); ) {
    if (reader.field === 1) revision = reader.int64()
    else reader.skip()
  }
  return { revision }
}

export function writeKeyValue(writer: WireWriter, field: number, kv: KeyValue, keysOnly = false): void {
  writer.message(field, inner => {
    inner.bytes(1, keyToBytes(kv.key))
    inner.int64(2, kv.createRevision)
    inner.int64(3, kv.modRevision)
    inner.int64(4, kv.version)
    if (!keysOnly) inner.bytes(5, kv.value)
    inner.int64(6, kv.lease)
  })
}
