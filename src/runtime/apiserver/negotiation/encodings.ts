/** How a value becomes a body or an event of a watch, for each format. */
import { cborHead, encodeCbor, encodeCborItem, SELF_DESCRIBED } from '../../../kube/cbor/cbor.ts'
import type { GroupVersionKind, Model } from '../../../kube/model-types.ts'
import {
  createProtobufCodec,
  inEnvelope,
  type ProtobufCodec,
  type ProtobufTable,
  watchFrame,
} from '../../../kube/protobuf/protobuf.ts'
import { noProtobufForm } from '../../../kube/status.ts'
import { renderYaml } from '../../../kube/yaml.ts'
import { typeNameOf } from '../storage/type-names.ts'
import { type Format, MEDIA_TYPES, STREAM_TYPES } from './media-types.ts'

export interface Encoding {
  readonly format: Format
  /** The Content-Type of a body, and of a watch. */
  readonly mediaType: string
  readonly streamType: string
  /** A value, whole. Throws StatusError 406 when it has no such form. */
  encode(value: unknown): Buffer
  /** Behind a value that is a body. */
  readonly end: Buffer
  /** One event of a watch about an object that is encoded, in pieces. */
  event(type: string, object: readonly Buffer[]): Buffer
}

export interface Encodings {
  of(format: Format): Encoding
  readonly protobuf: ProtobufCodec
  /** Null for what has no protobuf form. */
  protobufType(kind: GroupVersionKind): string | null
}

const NOTHING = Buffer.alloc(0)
const EVENT_END = Buffer.from('}\n')
const CBOR_TYPE = encodeCborItem('type')
const CBOR_OBJECT = encodeCborItem('object')

export const jsonEncoding: Encoding = {
  format: 'json',
  mediaType: MEDIA_TYPES.json,
  streamType: STREAM_TYPES.json,
  encode: value => Buffer.from(JSON.stringify(value)),
  end: Buffer.from('\n'),
  event: (type, object) => Buffer.concat([Buffer.from(`{"type":"${type}","object":`), ...object, EVENT_END]),
}

const yamlEncoding: Encoding = {
  format: 'yaml',
  mediaType: MEDIA_TYPES.yaml,
  streamType: MEDIA_TYPES.yaml,
  encode: value => Buffer.from(renderYaml(value)),
  end: NOTHING,
  event() {
    throw new TypeError('YAML has no streams')
  },
}

const cborEncoding: Encoding = {
  format: 'cbor',
  mediaType: MEDIA_TYPES.cbor,
  streamType: STREAM_TYPES.cbor,
  encode: encodeCbor,
  end: NOTHING,
  event: (type, object) =>
    Buffer.concat([
      SELF_DESCRIBED,
      cborHead('map', 2),
      CBOR_TYPE,
      encodeCborItem(type),
      CBOR_OBJECT,
      ...object,
    ]),
}

const META_TYPES = 'io.k8s.apimachinery.pkg.apis.meta.v1'
const AGGREGATED = { group: 'apidiscovery.k8s.io', types: 'io.k8s.api.apidiscovery.v2' }

/** The table is read with the first request in protobuf. */
export function createEncodings(parts: {
  readonly model: Model
  readonly protobuf: () => ProtobufTable
}): Encodings {
  let codec: ProtobufCodec | null = null
  const protobuf = () => {
    codec ??= createProtobufCodec(parts.protobuf())
    return codec
  }
  const protobufType = (kind: GroupVersionKind) =>
    typeNamesOf(parts.model, kind).find(name => protobuf().hasForm(name)) ?? null
  const protobufEncoding: Encoding = {
    format: 'protobuf',
    mediaType: MEDIA_TYPES.protobuf,
    streamType: STREAM_TYPES.protobuf,
    encode(value) {
      const object = value as Readonly<Record<string, unknown>>
      const kind = kindOf(object)
      const typeName = protobufType(kind)
      if (typeName === null) throw noProtobufForm(kind)
      return inEnvelope(String(object['apiVersion']), kind.kind, protobuf().encode(typeName, object))
    },
    end: NOTHING,
    event: (type, object) => watchFrame(type, Buffer.concat(object)),
  }
  const all: Readonly<Record<Format, Encoding>> = {
    json: jsonEncoding,
    yaml: yamlEncoding,
    protobuf: protobufEncoding,
    cbor: cborEncoding,
  }
  return {
    of: format => all[format],
    get protobuf() {
      return protobuf()
    },
    protobufType,
  }
}

function kindOf({ apiVersion, kind }: Readonly<Record<string, unknown>>): GroupVersionKind {
  const [version = '', group = ''] = String(apiVersion).split('/').reverse()
  return { group, version, kind: String(kind) }
}

/** What the kind's type may be called: kinds, their lists, and those of the API machinery. */
function typeNamesOf(model: Model, kind: GroupVersionKind): string[] {
  const names: string[] = []
  const own = typeNameOf(model, kind)
  if (own !== undefined) names.push(own)
  if (kind.kind.endsWith('List')) {
    const item = model.byKind({ ...kind, kind: kind.kind.slice(0, -'List'.length) })
    if (item !== undefined) names.push(`${item.typeName}List`)
  }
  if (kind.version === 'v1' && (kind.group === '' || kind.group === 'meta.k8s.io')) {
    names.push(`${META_TYPES}.${kind.kind}`)
  }
  if (kind.group === AGGREGATED.group) names.push(`${AGGREGATED.types}.${kind.kind}`)
  return names
}
