/**
 * Stored values and served bytes (ARCHITECTURE, "Values"): a format byte, then JSON that begins with a head of
 * known length and lacks resourceVersion, which readers splice in behind it without parsing anything.
 */
import { assert, must } from '../../../base/assert.ts'
import type { KubeObject } from '../../../kube/object.ts'
import type { KeyValue } from '../../store/store.ts'
import { fromStorage, toStorage } from './conversion.ts'
import type { ServedResource } from './served-resource.ts'

const FORMAT_PLAIN = 1
const FORMAT_BYTES = 1

/** The value to store; resourceVersion and selfLink are not kept. */
export function encodeValue(resource: ServedResource, object: KubeObject): Buffer {
  const stored = resource.servesStoredBytes ? object : toStorage(resource.info, object)
  const { apiVersion: _a, kind: _k, metadata, ...rest } = stored
  const { resourceVersion: _r, selfLink: _s, ...kept } = metadata
  assert(kept.name, 'a stored object has a name')
  const json = JSON.stringify({
    apiVersion: resource.storageApiVersion,
    kind: resource.info.kind,
    metadata: kept,
    ...rest,
  })
  return Buffer.from(String.fromCharCode(FORMAT_PLAIN) + json)
}

/** The stored object in the version of `resource`, freshly parsed, with its resourceVersion. */
export function decodeValue(resource: ServedResource, kv: KeyValue): KubeObject {
  if (resource.custom !== undefined) return resource.custom.codec.read(kv)
  assert(kv.value[0] === FORMAT_PLAIN, 'the value has a format that this version reads')
  const object = JSON.parse(kv.value.toString('utf8', FORMAT_BYTES)) as KubeObject
  object.metadata.resourceVersion = String(kv.modRevision)
  return resource.servesStoredBytes ? object : fromStorage(resource.info, object)
}

const isServedAsStored = ({ custom, servesStoredBytes }: ServedResource, kv: KeyValue): boolean =>
  custom === undefined ? servesStoredBytes : custom.codec.isAsStored(kv)

const ITEM_HEAD = Buffer.from('{"metadata":{')

/** As `servedPieces`, but without apiVersion and kind: items of a typed list are of the list's kind. */
export function itemPieces(resource: ServedResource, kv: KeyValue): Buffer[] {
  // Untyped lists have items that say what they are.
  if (resource.custom !== undefined) return servedPieces(resource, kv)
  const [head, ...rest] = servedPieces(resource, kv)
  if (resource.servesStoredBytes) return [ITEM_HEAD, ...rest]
  const { apiVersion: _a, kind: _k, ...item } = JSON.parse(must(head, 'a served object').toString('utf8'))
  return [Buffer.from(JSON.stringify(item))]
}

/** The pieces of the object's JSON as clients get it: parsed only if its version is not the stored one. */
export function servedPieces(resource: ServedResource, kv: KeyValue, revision = kv.modRevision): Buffer[] {
  assert(kv.value[0] === FORMAT_PLAIN, 'the value has a format that this version reads')
  if (!isServedAsStored(resource, kv)) {
    const object = decodeValue(resource, kv)
    object.metadata.resourceVersion = String(revision)
    return [Buffer.from(JSON.stringify(object))]
  }
  const split = FORMAT_BYTES + resource.head.length
  return [resource.head, Buffer.from(`"resourceVersion":"${revision}",`, 'latin1'), kv.value.subarray(split)]
}

/** Resolves when all entries can be read: a webhook may have to convert some. */
export async function prepareEntries(resource: ServedResource, entries: readonly KeyValue[]): Promise<void> {
  const preparing = resource.custom?.codec.prepare(entries) ?? null
  if (preparing !== null) await preparing
}
