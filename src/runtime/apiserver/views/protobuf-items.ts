/** The protobuf form of stored objects, kept for a while, because informers ask for the same ones again and again. */
import type { KeyValue } from '../../store/store.ts'
import type { Encodings } from '../negotiation/encodings.ts'
import { decodeValue } from '../storage/encoding.ts'
import type { ServedResource } from '../storage/served-resource.ts'

export interface ProtobufItems {
  /** The message without its envelope. Another revision than the entry's own is that of its deletion. */
  item(resource: ServedResource, kv: KeyValue, revision: number): Buffer
}

/** What is kept goes all at once when there is more. */
const KEPT_BYTES_MAX = 32 * 1024 * 1024

export function createProtobufItems(encodings: Encodings): ProtobufItems {
  let kept = new WeakMap<KeyValue, Map<string, Buffer>>()
  let bytes = 0
  const keep = (apiVersion: string, kv: KeyValue, item: Buffer) => {
    if (bytes + item.length > KEPT_BYTES_MAX) {
      kept = new WeakMap()
      bytes = 0
    }
    const versions = kept.get(kv) ?? new Map<string, Buffer>()
    kept.set(kv, versions.set(apiVersion, item))
    bytes += item.length
    return item
  }
  return {
    item(resource, kv, revision) {
      const known = revision === kv.modRevision ? kept.get(kv)?.get(resource.apiVersion) : undefined
      if (known !== undefined) return known
      const object = decodeValue(resource, kv)
      object.metadata.resourceVersion = String(revision)
      const item = encodings.protobuf.encode(resource.info.typeName, object)
      return revision === kv.modRevision ? keep(resource.apiVersion, kv, item) : item
    },
  }
}
