/** What an S3 server's refusal means, in words, and whether the same request may succeed a moment later (pure). */
import { Mk8sError, messageOf, systemCodeOf } from '../../../../base/errors.ts'
import type { S3Place } from './place.ts'
import { textOf } from './xml.ts'

export interface Failure {
  readonly error: Mk8sError
  readonly retry: boolean
}

export interface Refusal {
  readonly status: number
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>
  readonly body: string
}

const MESSAGE_LENGTH_MAX = 300
const RETRIED_STATUSES = new Set([429, 500, 502, 503, 504])
/** Refusals that pass although their status does not say so. */
const RETRIED_CODES = new Set([
  // Damaged on the way.
  'XAmzContentSHA256Mismatch',

  'RequestTimeout',
  'SlowDown',
  'InternalError',
  'ServiceUnavailable',
  'BadDigest',
])
const REGION_CODES = new Set(['AuthorizationHeaderMalformed', 'PermanentRedirect', 'TemporaryRedirect'])
const RIGHTS =
  's3:ListBucket and s3:ListBucketMultipartUploads on the bucket, s3:PutObject, s3:GetObject, s3:DeleteObject ' +
  'and s3:AbortMultipartUpload on what is in it'

interface Words {
  readonly why: string
  readonly hint: string
}

const KEY_HINT = 'correct access-key-id and secret-access-key in the Secret'
const DAMAGED = { why: 'what arrived is not what was sent', hint: 'look at the network in between' }
const known: Readonly<Record<string, Words>> = {
  AccessDenied: { why: 'the access key may not do that', hint: `allow it ${RIGHTS}` },
  AllAccessDisabled: { why: 'the bucket has been disabled', hint: 'ask whoever runs the S3 service' },
  InvalidAccessKeyId: { why: 'the access key is not known there', hint: KEY_HINT },
  SignatureDoesNotMatch: {
    why: 'the secret access key is wrong',
    hint: `${KEY_HINT}; the endpoint and the region have to be right as well`,
  },
  ExpiredToken: {
    why: 'the session token has expired',
    hint: 'put a new key and session-token into the Secret',
  },
  InvalidToken: {
    why: 'the session token is not valid',
    hint: 'put a new key and session-token into the Secret',
  },
  NoSuchBucket: { why: 'there is no such bucket', hint: 'create it, or correct the name in the URL' },
  QuotaExceeded: { why: 'the quota is used up', hint: 'make room there, or keep fewer backups' },
  InsufficientStorage: { why: 'the disk there is full', hint: 'make room there, or keep fewer backups' },
  EntityTooLarge: { why: 'an upload may not be that large there', hint: 'use another target' },
  BadDigest: DAMAGED,
  XAmzContentSHA256Mismatch: DAMAGED,
  InvalidObjectState: { why: 'the file is in an archive', hint: 'restore it from the archive first' },
}

/** `hint` of a network error by its code; those without one may pass by themselves. */
const networkHints: Readonly<Record<string, string>> = {
  DEPTH_ZERO_SELF_SIGNED_CERT: 'put the certificate of its authority into the Secret, as ca.crt',
  SELF_SIGNED_CERT_IN_CHAIN: 'put the certificate of its authority into the Secret, as ca.crt',
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: 'put the certificate of its authority into the Secret, as ca.crt',
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: 'put the certificate of its authority into the Secret, as ca.crt',
  UNABLE_TO_GET_ISSUER_CERT: 'put the certificate of its authority into the Secret, as ca.crt',
  CERT_HAS_EXPIRED: 'renew the certificate of the S3 server',
  CERT_NOT_YET_VALID: 'look at the clocks of both machines',
  ERR_TLS_CERT_ALTNAME_INVALID: 'use a name that is in the certificate as the endpoint, or path-style=true',
  EPROTO: 'if it speaks plain HTTP, say so: endpoint=http://…',
  ERR_SSL_WRONG_VERSION_NUMBER: 'if it speaks plain HTTP, say so: endpoint=http://…',
  ERR_SSL_PACKET_LENGTH_TOO_LONG: 'if it speaks plain HTTP, say so: endpoint=http://…',
}

export function failureOf(refusal: Refusal, what: string, place: S3Place, nowMs: number): Failure {
  const code = textOf(refusal.body, 'Code') ?? codeOfStatus(refusal.status)
  const words = regionWords(code, refusal, place) ?? skewWords(code, refusal, nowMs) ?? wordsOf(code, refusal)
  return {
    error: new Mk8sError('backup/target', `${place.shown}: ${what} failed`, {
      ...words,
      fields: { code, status: refusal.status },
    }),
    retry: RETRIED_STATUSES.has(refusal.status) || RETRIED_CODES.has(code),
  }
}

export function networkFailureOf(cause: unknown, what: string, place: S3Place): Failure {
  const code = systemCodeOf(cause) ?? ''
  const hint = networkHints[code]
  return {
    error: new Mk8sError('backup/target', `${place.shown}: ${what} failed`, {
      why: `${place.host} cannot be reached: ${messageOf(cause) || code}`,
      hint: hint ?? 'look whether the S3 server runs and can be reached from the server that leads',
      fields: { code },
      cause,
    }),
    retry: hint === undefined,
  }
}

/** What the server called its refusal; empty for errors that are none. */
export function refusalCode(error: unknown): string {
  const code = error instanceof Mk8sError && error.code === 'backup/target' ? error.fields['code'] : undefined
  return typeof code === 'string' ? code : ''
}

function wordsOf(code: string, { status, body }: Refusal): Words {
  const words = known[code]
  const message = (textOf(body, 'Message') ?? '').slice(0, MESSAGE_LENGTH_MAX)
  const said = message === '' ? `${code} (${status})` : `${code}: ${message}`
  if (words === undefined)
    return { why: `the server answered ${said}`, hint: 'look at the log of the S3 server' }
  return { why: `${words.why} (${said})`, hint: words.hint }
}

function regionWords(code: string, { headers, body, status }: Refusal, place: S3Place): Words | undefined {
  if (!REGION_CODES.has(code) && status !== 301 && status !== 307) return undefined
  const header = headers['x-amz-bucket-region']
  const region = textOf(body, 'Region') ?? (typeof header === 'string' ? header : undefined)
  if (region === undefined || region === place.region) return undefined
  return {
    why: `the bucket is in the region ${region}, not in ${place.region} (${code})`,
    hint: `write region=${region} into the URL`,
  }
}

function skewWords(code: string, { headers, body }: Refusal, nowMs: number): Words | undefined {
  if (code !== 'RequestTimeTooSkewed') return undefined
  const date = headers['date']
  const serverMs = Date.parse(textOf(body, 'ServerTime') ?? (typeof date === 'string' ? date : ''))
  const apart = Math.round(Math.abs(nowMs - serverMs) / 1_000)
  const told = Number.isNaN(serverMs)
    ? ''
    : ` by ${apart} s, and theirs says ${new Date(serverMs).toISOString()}`
  return {
    why: `the clocks of this server and of the S3 server differ${told} (${code})`,
    hint: 'set the clock, for example with chrony or systemd-timesyncd',
  }
}

/** Answers to HEAD have no body. */
const codeOfStatus = (status: number): string =>
  ({ 403: 'AccessDenied', 404: 'NotFound', 503: 'ServiceUnavailable', 507: 'InsufficientStorage' })[status] ??
  `HTTP ${status}`
