/**
 * The fingerprint that joins are pinned to: SHA-256 of the cluster authority's public key, so that a certificate
 * made anew for the same key has the same one. And whether the certificates that a server shows are worth a token.
 */
import { createHash, timingSafeEqual, type X509Certificate } from 'node:crypto'
import { Mk8sError } from '../../base/errors.ts'
import { spoken } from './checks.ts'

const SERVER_AUTHENTICATION = '1.3.6.1.5.5.7.3.1'
/** Of the certificate of API servers; kubelets' certificates, which the same authority signs, have another. */
const SERVER_NAME = 'CN=kube-apiserver'

/** 64 hexadecimal digits. */
export function fingerprintOf(authority: X509Certificate): string {
  const key = authority.publicKey.export({ type: 'spki', format: 'der' })
  return createHash('sha256').update(key).digest('hex')
}

export interface ShownCertificates {
  readonly leaf: X509Certificate
  /** All that came with it, in any order. */
  readonly chain: readonly X509Certificate[]
}

/** `fingerprint` null trusts whatever authority the server names. Returns that authority's certificate. */
export function verifyServer(
  shown: ShownCertificates,
  { fingerprint, nowMs }: { readonly fingerprint: string | null; readonly nowMs: number },
): X509Certificate {
  const authorities = shown.chain.filter(({ ca }) => ca)
  const authority = authorities.find(
    each => fingerprint === null || sameText(fingerprintOf(each), fingerprint.toLowerCase()),
  )
  if (authority === undefined) throw wrongFingerprint(authorities.length > 0)
  const { leaf } = shown
  if (!comesFrom(leaf, authority, authorities))
    throw untrusted('its certificate was not signed by the authority of the cluster')
  if (leaf.subject !== SERVER_NAME || !(leaf.keyUsage ?? []).includes(SERVER_AUTHENTICATION))
    throw untrusted('its certificate is not that of a server of the cluster')
  for (const certificate of [leaf, authority]) checkDates(certificate, nowMs)
  return authority
}

/** By itself, or by its successor while the authority is being replaced. */
function comesFrom(
  leaf: X509Certificate,
  authority: X509Certificate,
  others: readonly X509Certificate[],
): boolean {
  const isIssued = (certificate: X509Certificate, by: X509Certificate) =>
    certificate.checkIssued(by) && certificate.verify(by.publicKey)
  return isIssued(leaf, authority) || others.some(next => isIssued(leaf, next) && isIssued(next, authority))
}

function sameText(one: string, other: string): boolean {
  const [left, right] = [Buffer.from(one), Buffer.from(other)]
  return left.length === right.length && timingSafeEqual(left, right)
}

function wrongFingerprint(hasAuthority: boolean): Mk8sError {
  return untrusted(
    hasAuthority
      ? 'the fingerprint of its authority is not the one in the URL'
      : 'it shows no authority: it may be an older mk8s, or something else that listens there',
  )
}

function untrusted(why: string): Mk8sError {
  return new Mk8sError(
    'pki/invalid',
    'the server is not the one that the URL speaks of; nothing was sent to it',
    {
      why,
      hint: 'make a new URL with mk8s add-node on a server; if that fails too, somebody may stand in between',
    },
  )
}

function checkDates(certificate: X509Certificate, nowMs: number): void {
  const [from, to] = [Date.parse(certificate.validFrom), Date.parse(certificate.validTo)]
  if (nowMs >= from && nowMs <= to) return
  const early = nowMs < from
  throw new Mk8sError(
    'pki/invalid',
    `the server's certificate is ${early ? 'not valid yet' : 'not valid any more'}`,
    {
      why: `by the clock of this machine, ${new Date(nowMs).toISOString()}, which is ${spoken(early ? from - nowMs : nowMs - to)} ${early ? 'too early' : 'too late'}`,
      hint: 'set the clock of this machine, or that of the server, whichever is wrong',
    },
  )
}
