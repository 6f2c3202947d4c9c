/** Which media type and which form of an object a client asked for with Accept; pure. */

/** How an object is shown: as it is, as a table, or its metadata only. */
export type ObjectForm = 'object' | 'table' | 'partial-metadata'

export interface Negotiated {
  readonly format: 'json' | 'yaml'
  readonly form: ObjectForm
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
  return ranges.sort((a, b) => b.quality - a.quality)
}

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

const formats: Readonly<Record<string, Negotiated['format']>> = {
  'application/json': 'json',
  'application/yaml': 'yaml',
  'application/*': 'json',
  '*/*': 'json',
}

/** Table and PartialObjectMetadata of meta.k8s.io/v1; null when the range asks for another conversion. */
function formOf(range: MediaRange, allowConversion: boolean): ObjectForm | null {
  const { as, g = '', v = '' } = range.parameters
  if (as === undefined) return 'object'
  if (!allowConversion || g !== 'meta.k8s.io' || v !== 'v1') return null
  if (as === 'Table') return 'table'
  return as === 'PartialObjectMetadata' || as === 'PartialObjectMetadataList' ? 'partial-metadata' : null
}

/** The first range that can be served, or null (406). */
export function negotiate(
  header: string | undefined,
  options: { readonly allowConversion: boolean },
): Negotiated | null {
  for (const range of parseAccept(header)) {
    const format = formats[range.type]
    const form = formOf(range, options.allowConversion)
    if (format !== undefined && form !== null && range.quality > 0) return { format, form }
  }
  return null
}

/** Whether the client takes this conversion of this group and version (aggregated discovery), if listed first. */
export function acceptsConversion(
  header: string | undefined,
  wanted: { readonly group: string; readonly version: string; readonly as: string },
): boolean {
  for (const range of parseAccept(header)) {
    const { as, g, v } = range.parameters
    if (formats[range.type] !== 'json') continue
    if (as === undefined) return false
    if (as === wanted.as && g === wanted.group && v === wanted.version) return true
  }
  return false
}

/** Whether gzip is among the encodings the client takes. */
export function acceptsGzip(header: string | undefined): boolean {
  return parseAccept(header ?? 'identity').some(range => range.type === 'gzip' && range.quality > 0)
}
