/** The forms in which objects travel, and what each is called in HTTP. */

/** In the order in which the server prefers them when the client has no preference. */
export const FORMATS = ['json', 'yaml', 'protobuf', 'cbor'] as const

export type Format = (typeof FORMATS)[number]

export const MEDIA_TYPES: Readonly<Record<Format, string>> = {
  json: 'application/json',
  yaml: 'application/yaml',
  protobuf: 'application/vnd.kubernetes.protobuf',
  cbor: 'application/cbor',
}

/** The Content-Type of a watch; YAML has no stream. */
export const STREAM_TYPES: Readonly<Record<Exclude<Format, 'yaml'>, string>> = {
  json: 'application/json',
  protobuf: 'application/vnd.kubernetes.protobuf;stream=watch',
  cbor: 'application/cbor-seq',
}

/** What 406 and 415 say of requests and answers. */
export const SERVED_TYPES: readonly string[] = FORMATS.map(format => MEDIA_TYPES[format])

/** What 406 says of watches. */
export const SERVED_STREAM_TYPES: readonly string[] = FORMATS.filter(format => format !== 'yaml').map(
  format => `${MEDIA_TYPES[format]};stream=watch`,
)

/** The format of a request's Content-Type, which is JSON when there is none; null for one that is not known. */
export function bodyFormatOf(contentType: string | undefined): Format | null {
  const type = mediaTypeOf(contentType)
  if (type === 'text/yaml') return 'yaml'
  return FORMATS.find(format => MEDIA_TYPES[format] === type) ?? null
}

/** A Content-Type without its parameters; JSON when it is not given. */
export function mediaTypeOf(contentType: string | undefined): string {
  const type = ((contentType ?? '').split(';')[0] ?? '').trim().toLowerCase()
  return type === '' ? MEDIA_TYPES.json : type
}
