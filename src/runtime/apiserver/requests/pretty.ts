/** Answers for people: JSON on many lines, when `pretty` or a program that people use asks for it. */
import type { KubeResponse } from '../../../client/transport.ts'
import { MEDIA_TYPES } from '../negotiation/media-types.ts'

interface Asked {
  readonly query: URLSearchParams
  readonly headers: Readonly<Record<string, string>>
}

const PROGRAMS = ['curl', 'Wget', 'Mozilla/5.0']
const TRUE = new Set(['1', 't', 'T', 'TRUE', 'true', 'True'])
/** Larger bodies stay as they are: to parse and print them again would keep others waiting. */
const PRETTY_BYTES_MAX = 1024 * 1024
const INDENT = 2

export function wantsPretty({ query, headers }: Asked): boolean {
  const asked = query.get('pretty') ?? ''
  if (asked !== '') return TRUE.has(asked)
  const agent = headers['user-agent'] ?? ''
  return PROGRAMS.some(program => agent.startsWith(program))
}

/** The same answer on many lines, if it is plain JSON and not too large. */
export async function prettied(response: KubeResponse): Promise<KubeResponse> {
  const { 'content-length': _length, ...headers } = response.headers
  const isPlain = headers['content-type'] === MEDIA_TYPES.json && headers['content-encoding'] === undefined
  if (!isPlain || response.upgraded !== undefined) return response
  const { whole, rest } = await begin(response.body)
  if (rest !== null) return { ...response, body: rest }
  if (whole.length === 0) return response
  return { ...response, headers, body: onManyLines(whole) }
}

/** Of an answer that is no stream, such as an error. */
export function prettiedWhole(response: KubeResponse): KubeResponse {
  const { body, headers } = response
  const isJson = body instanceof Uint8Array && headers['content-type'] === MEDIA_TYPES.json
  return isJson ? { ...response, body: onManyLines(Buffer.from(body)) } : response
}

const onManyLines = (json: Buffer): Buffer =>
  Buffer.from(JSON.stringify(JSON.parse(json.toString('utf8')), null, INDENT))

type Begun =
  | { readonly whole: Buffer; readonly rest: null }
  | { readonly whole: null; readonly rest: KubeResponse['body'] }

/** A body that is small enough as a whole, any other as it was. */
async function begin(body: KubeResponse['body']): Promise<Begun> {
  if (body instanceof Uint8Array) {
    if (body.length > PRETTY_BYTES_MAX) return { whole: null, rest: body }
    return { whole: Buffer.from(body.buffer, body.byteOffset, body.byteLength), rest: null }
  }
  const pieces: Uint8Array[] = []
  const iterator = body[Symbol.asyncIterator]()
  for (let size = 0; size <= PRETTY_BYTES_MAX; ) {
    const next = await iterator.next()
    if (next.done === true) return { whole: Buffer.concat(pieces), rest: null }
    pieces.push(next.value)
    size += next.value.length
  }
  return { whole: null, rest: resumed(pieces, iterator) }
}

async function* resumed(pieces: readonly Uint8Array[], iterator: AsyncIterator<Uint8Array>) {
  try {
    yield* pieces
    for (let next = await iterator.next(); next.done !== true; next = await iterator.next()) yield next.value
  } finally {
    await iterator.return?.()
  }
}
