/** Which media type and which form of an object a client asked for with Accept; pure. */

import { FORMATS, type Format, MEDIA_TYPES, STREAM_TYPES } from './media-types.ts'

/** How an object is shown: as it is, as a table, or its metadata only. */
export type ObjectForm = 'object' | 'table' | 'partial-metadata'

export interface Negotiated {
  readonly format: Format
  readonly form: ObjectForm
  /** The word for the form. */
  readonly as?: string
}

/** What an endpoint can do. */
export interface Endpoint {
  /** Tables and metadata instead of the object. */
  readonly allowConversion: boolean
  /** False for custom resources; their metadata has it. */
  readonly hasProtobuf?: boolean
  /** A watch is a sequence, which CBOR has another name for. */
  readonly isWatch?: boolean
}

export interface MediaRange {
  /** `application/json`, lower case. */
  readonly type: string
  readonly parameters: Readonly<Record<string, string>>
  readonly quality: number
}

const ACCEPT_BYTES_MAX = 8192

/** The ranges of an Accept header, best first. */
export function parseAccept(header: string | undefined): readonly MediaRange[] {
  const text = (header ?? '').slice(0, ACCEPT_BYTES_MAX).trim()
  if (text === '') return [{ type: '*/*', parameters: {}, quality: 1 }]
  const ranges = text
    .split(',')
    .filter(part => part.trim() !== '')
    .map(parseRange)
  return ranges.sort((a, b) => b.quality - a.quality || precision(b) - precision(a))
}

/** Of ranges that the client likes alike, those that say more come first. */
const precision = ({ type }: MediaRange): number => (type === '*/*' ? 0 : type.endsWith('/*') ? 1 : 2)

function parseRange(part: string): MediaRange {
  const [type = '', ...rest] = part.split(';').map(piece => piece.trim())
  const parameters: Record<string, string> = {}
  for (const piece of rest) {
    const at = piece.indexOf('=')
    if (at > 0)
      parameters[piece.slice(0, at).trim().toLowerCase()] = piece
        .slice(at + 1)
        .trim()
        .replace(/^"|"$/g, '')
  }
  const quality = Number(parameters['q'] ?? '1')
  return { type: type.toLowerCase(), parameters, quality: Number.isFinite(quality) ? quality : 1 }
}

/** Whether the range stands for the format. */
function matches(range: MediaRange, format: Format, { isWatch = false }: Endpoint): boolean {
  const { type } = range
  if (type === '*/*' || type === 'application/*' || type === MEDIA_TYPES[format]) return true
  return isWatch && format === 'cbor' && type === STREAM_TYPES.cbor
}

/** The form that the range asks for; null when it cannot be had in this format. */
function formOf(range: MediaRange, format: Format, endpoint: Endpoint): ObjectForm | null {
  const { as, g, v, stream = '', sv = '' } = range.parameters
  if (stream !== '' && (stream !== 'watch' || format === 'yaml')) return null
  if (sv !== '' && sv !== 'v1') return null
  if (as === undefined && g === undefined && v === undefined) {
    return format === 'protobuf' && endpoint.hasProtobuf === false ? null : 'object'
  }
  if (!endpoint.allowConversion || g !== 'meta.k8s.io' || v !== 'v1') return null
  if (as === 'Table') return format === 'protobuf' ? null : 'table'
  return as === 'PartialObjectMetadata' || as === 'PartialObjectMetadataList' ? 'partial-metadata' : null
}

/** The first range that can be served, or null (406). */
export function negotiate(header: string | undefined, endpoint: Endpoint): Negotiated | null {
  for (const range of parseAccept(header)) {
    if (range.quality <= 0) continue
    for (const format of FORMATS) {
      if (!matches(range, format, endpoint)) continue
      const form = formOf(range, format, endpoint)
      const { as } = range.parameters
      if (form !== null) return { format, form, ...(as === undefined ? {} : { as }) }
    }
  }
  return null
}

/** The format in which the client takes this conversion, null when it would rather have the plain document. */
export function acceptsConversion(
  header: string | undefined,
  wanted: { readonly group: string; readonly version: string; readonly as: string },
): Format | null {
  for (const range of parseAccept(header)) {
    const { as, g, v } = range.parameters
    const format = FORMATS.find(one => matches(range, one, { allowConversion: true }))
    if (format === undefined || range.quality <= 0) continue
    if (as === undefined) return null
    if (as === wanted.as && g === wanted.group && v === wanted.version) return format
  }
  return null
}

/** Whether gzip is among the encodings the client takes. */
export function acceptsGzip(header: string | undefined): boolean {
  return parseAccept(header ?? 'identity').some(range => range.type === 'gzip' && range.quality > 0)
}
