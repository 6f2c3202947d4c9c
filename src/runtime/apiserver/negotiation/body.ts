/** From the bytes of a request's body to a value, by its Content-Type; everything wrong with it is upstream's 400. */
import { messageOf } from '../../../base/errors.ts'
import { WireError } from '../../../base/wire-reader.ts'
import { CborError, decodeCbor } from '../../../kube/cbor/cbor.ts'
import { type FieldPlaces, fieldPlaces, JsonError, parseJson } from '../../../kube/json.ts'
import type { KubeObject } from '../../../kube/object.ts'
import { badRequest, type StatusError, unsupportedMediaType } from '../../../kube/status.ts'
import { readYaml } from '../../../kube/yaml.ts'
import type { Encodings } from './encodings.ts'
import { bodyFormatOf, type Format, SERVED_TYPES } from './media-types.ts'

export interface RawBody {
  readonly value: KubeObject
  readonly duplicateFields: readonly string[]
  /** Where the fields of JSON stand. */
  readonly placesOf?: () => FieldPlaces
  /** What there is to say of keys that come twice in YAML. */
  readonly duplicateKeyText?: string
  /** Protobuf has no unknown fields to tell of: they have numbers, not names. */
  readonly hasNames: boolean
}

export interface BodyParts {
  readonly bytes: Buffer
  readonly contentType: string | undefined
  /** As messages name what is expected. */
  readonly kind: string
  /** Null for custom resources, which have no protobuf form. */
  readonly typeName: string | null
  readonly encodings: Encodings
}

const NAMED_TYPES = SERVED_TYPES.filter(type => !type.endsWith('protobuf'))

/** Throws 415 for other types, and 400. */
export function readBodyObject(parts: BodyParts): RawBody {
  const format = bodyFormatOf(parts.contentType)
  if (format === null) throw unsupportedMediaType(parts.typeName === null ? NAMED_TYPES : SERVED_TYPES)
  if (format === 'protobuf') return readProtobuf(parts)
  const { value, ...duplicates } = readText(parts, format)
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw unrecognized(parts, "couldn't get version/kind; the body is not an object")
  }
  return { value: value as KubeObject, ...duplicates, hasNames: true }
}

const unrecognized = ({ kind }: BodyParts, why: string): StatusError =>
  badRequest(`the object provided is unrecognized (must be of type ${kind}): ${why}`)

function readText(
  parts: BodyParts,
  format: Exclude<Format, 'protobuf'>,
): Omit<RawBody, 'value' | 'hasNames'> & { readonly value: unknown } {
  try {
    if (format === 'cbor') return { value: decodeCbor(parts.bytes), duplicateFields: [] }
    const text = parts.bytes.toString('utf8')
    if (format === 'json') {
      const { value, duplicateFields } = parseJson(text, { findDuplicates: true })
      return { value, duplicateFields, placesOf: () => fieldPlaces(text) }
    }
    const { value, duplicates } = readYaml(text)
    return { value, duplicateFields: [], ...(duplicates === null ? {} : { duplicateKeyText: duplicates }) }
  } catch (error) {
    if (error instanceof JsonError)
      throw unrecognized(parts, `couldn't get version/kind; json parse error: ${error.message}`)
    if (error instanceof CborError)
      throw unrecognized(parts, `unable to determine group/version/kind: ${error.message}`)
    const isAnswer = error instanceof Error && 'status' in error
    if (format === 'yaml' && !isAnswer) throw unrecognized(parts, `yaml: ${messageOf(error)}`)
    throw error
  }
}

function readProtobuf({ bytes, typeName, encodings }: BodyParts): RawBody {
  if (typeName === null) throw unsupportedMediaType(NAMED_TYPES)
  try {
    return { value: encodings.protobuf.decode(bytes, typeName), duplicateFields: [], hasNames: false }
  } catch (error) {
    if (error instanceof WireError)
      throw badRequest(`the body of the request cannot be decoded: ${error.message}`)
    throw error
  }
}
