/** What went wrong with a call over HTTPS, in the words of Go's client, which people search the web for. Pure. */
import { messageOf, systemCodeOf } from '../../../base/errors.ts'

export interface CallTarget {
  readonly host: string
  readonly port: number
  /** The name that the certificate has to be for. */
  readonly serverName: string
}

const UNKNOWN_AUTHORITY = new Set([
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'CERT_SIGNATURE_FAILURE',
])
const NOT_VALID_NOW = new Set(['CERT_HAS_EXPIRED', 'CERT_NOT_YET_VALID'])
const SYSTEM: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'connect: connection refused',
  EHOSTUNREACH: 'connect: no route to host',
  ENETUNREACH: 'connect: network is unreachable',
  ETIMEDOUT: 'i/o timeout',
}

export const DEADLINE = 'context deadline exceeded'
const X509 = 'tls: failed to verify certificate: x509:'

/** The sentence behind `Post "https://…": `. */
export function callFailure(error: unknown, target: CallTarget, now: string): string {
  const code = systemCodeOf(error) ?? ''
  if (UNKNOWN_AUTHORITY.has(code)) return `${X509} certificate signed by unknown authority`
  if (NOT_VALID_NOW.has(code)) {
    return `${X509} certificate has expired or is not yet valid: current time ${now} is not in its time`
  }
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID') return `${X509} ${wrongName(error, target)}`
  if (code === 'ENOTFOUND' || code === 'EAI_AGAIN') {
    const why = code === 'ENOTFOUND' ? 'no such host' : 'server misbehaving'
    return `dial tcp: lookup ${target.host}: ${why}`
  }
  const known = SYSTEM[code]
  if (known !== undefined) return `dial tcp ${target.host}:${target.port}: ${known}`
  if (code === 'ECONNRESET') return messageOf(error) === 'socket hang up' ? 'EOF' : 'connection reset by peer'
  if (code.startsWith('ERR_SSL')) return `tls: ${messageOf(error)}`
  return messageOf(error)
}

function wrongName(error: unknown, { serverName }: CallTarget): string {
  const { cert } = error as { cert?: { subjectaltname?: string } }
  const names = (cert?.subjectaltname ?? '')
    .split(',')
    .map(entry => entry.trim().replace(/^(DNS|IP Address):/, ''))
    .filter(name => name !== '')
  if (names.length === 0) return `certificate is not valid for any names, but wanted to match ${serverName}`
  return `certificate is valid for ${names.join(', ')}, not ${serverName}`
}

/** What client-go makes of an answer that is no success and no Status. */
export function answerFailure(status: number, body: string): string {
  const text = body.trim()
  if (status === 404) return 'the server could not find the requested resource'
  if (status === 401) return 'the server has asked for the client to provide credentials'
  if (status === 405) return 'the server does not allow this method on the requested resource'
  if (status === 403) return text === '' ? 'forbidden' : `forbidden: ${text}`
  if (status === 429) return 'the server has received too many requests and has asked us to try again later'
  if (status === 503) return 'the server is currently unable to handle the request'
  if (status === 504) return 'the server was unable to return a response in the time allotted'
  if (status >= 500) {
    const shown = JSON.stringify(text === '' ? 'unknown' : text)
    return `an error on the server (${shown}) has prevented the request from succeeding`
  }
  return 'the server rejected our request for an unknown reason'
}
