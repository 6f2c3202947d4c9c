/**
 * AWS Signature Version 4 for S3, in the Authorization header (pure). Source: Amazon's "Authenticating Requests: Using
 * the Authorization Header". The payload's SHA-256 is always signed, so that a server refuses a damaged body.
 */
import { createHash, createHmac } from 'node:crypto'

export interface S3Key {
  readonly accessKeyId: string
  readonly secretAccessKey: string
  /** Of a temporary key. */
  readonly sessionToken?: string
}

export interface UnsignedRequest {
  readonly method: string
  /** Encoded already. */
  readonly path: string
  /** Not encoded. */
  readonly query: Readonly<Record<string, string>>
  /** In lower case, `host` among them. */
  readonly headers: Readonly<Record<string, string>>
  readonly payload: Uint8Array
}

const ALGORITHM = 'AWS4-HMAC-SHA256'
const SERVICE = 's3'
const TERMINATOR = 'aws4_request'

/** All headers of the request, those of the signature among them. */
export function signedHeaders(
  request: UnsignedRequest,
  key: S3Key,
  region: string,
  nowMs: number,
): Record<string, string> {
  const time = amazonTime(nowMs)
  const payloadHash = sha256(request.payload)
  const headers: Record<string, string> = {
    ...request.headers,
    'x-amz-content-sha256': payloadHash,
    'x-amz-date': time,
    ...(key.sessionToken === undefined ? {} : { 'x-amz-security-token': key.sessionToken }),
  }
  const names = Object.keys(headers).sort()
  const canonical = [
    request.method,
    request.path,
    encodeQuery(request.query),
    ...names.map(name => `${name}:${(headers[name] ?? '').trim().replaceAll(/ +/g, ' ')}`),
    '',
    names.join(';'),
    payloadHash,
  ].join('\n')
  const scope = `${time.slice(0, 8)}/${region}/${SERVICE}/${TERMINATOR}`
  const toSign = [ALGORITHM, time, scope, sha256(canonical)].join('\n')
  const signature = hmac(signingKey(key, time.slice(0, 8), region), toSign).toString('hex')
  const authorization =
    `${ALGORITHM} Credential=${key.accessKeyId}/${scope},` +
    `SignedHeaders=${names.join(';')},Signature=${signature}`
  return { ...headers, authorization }
}

/** In the order and the encoding that are signed. */
export function encodeQuery(query: Readonly<Record<string, string>>): string {
  return Object.entries(query)
    .map(([name, value]) => `${encodeUri(name)}=${encodeUri(value)}`)
    .sort()
    .join('&')
}

/** The path of a bucket or an object; slashes in it stay. */
export const encodePath = (path: string): string => path.split('/').map(encodeUri).join('/')

const encodeUri = (text: string): string =>
  encodeURIComponent(text).replaceAll(
    /[!'()*]/g,
    character => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  )

/** `20130524T000000Z` */
const amazonTime = (ms: number): string =>
  `${new Date(ms).toISOString().slice(0, 19).replaceAll(/[-:]/g, '')}Z`

const signingKey = ({ secretAccessKey }: S3Key, day: string, region: string): Buffer =>
  [day, region, SERVICE, TERMINATOR].reduce<Buffer>(hmac, Buffer.from(`AWS4${secretAccessKey}`))

const hmac = (key: Buffer, text: string): Buffer => createHmac('sha256', key).update(text).digest()

const sha256 = (bytes: Uint8Array | string): string => createHash('sha256').update(bytes).digest('hex')
