/** From when to when certificates are valid, and when they are due to be renewed. Pure. */
import { createHash, X509Certificate } from 'node:crypto'

export interface Validity {
  readonly notBefore: Date
  readonly notAfter: Date
}

export const DAY_MS = 24 * 60 * 60 * 1000
export const AUTHORITY_DAYS = 3650
export const LEAF_DAYS = 365
/** A third of a leaf's life: a node may be switched off for months, and still renews in time. */
const RENEW_BEFORE_MS = 120 * DAY_MS
/** `mk8s status` speaks of certificates that end sooner: their renewal must have failed again and again. */
export const WARN_BEFORE_MS = 14 * DAY_MS
/** Certificates are valid from an hour before their issue, for machines whose clocks are behind. */
export const BACKDATE_MS = 60 * 60 * 1000
/** A certificate that would not live longer than so much more is not worth renewing. */
const GAIN_MS = DAY_MS

export function validityFrom(nowMs: number, days: number, endMs = Number.POSITIVE_INFINITY): Validity {
  const notAfter = new Date(Math.min(nowMs + days * DAY_MS, endMs))
  return { notBefore: new Date(nowMs - BACKDATE_MS), notAfter }
}

export const startOf = (certificate: X509Certificate): number => Date.parse(certificate.validFrom)
export const endOf = (certificate: X509Certificate): number => Date.parse(certificate.validTo)

/** By its dates alone. A leaf does not outlive its authority, whose end therefore is no reason to renew it daily. */
export function isDue(leaf: X509Certificate, authority: X509Certificate, nowMs: number): boolean {
  // A clock that is behind the authority itself has yet to be set: what it issued would be of no use.
  if (nowMs < startOf(authority)) return false
  if (nowMs < startOf(leaf)) return true
  const gain = Math.min(nowMs + LEAF_DAYS * DAY_MS, endOf(authority)) - endOf(leaf)
  return endOf(leaf) - nowMs <= RENEW_BEFORE_MS && gain > GAIN_MS
}

const BLOCK = /-----BEGIN CERTIFICATE-----[\s\S]+?-----END CERTIFICATE-----/g

/** The certificates of a PEM text, which is a bundle while an authority is being replaced: the one that signs is first. */
export function certificatesIn(pem: string): readonly string[] {
  return (pem.match(BLOCK) ?? []).map(block => `${block}\n`)
}

/** The one that signs, of an authority's certificates. */
export function signerOf(pem: string): X509Certificate {
  return new X509Certificate(certificatesIn(pem)[0] ?? pem)
}

/** Which certificates those are, in their order: the beginnings of their SHA-256 sums. */
export function nameOfBundle(certificates: readonly string[]): string {
  const sumOf = (pem: string) => createHash('sha256').update(new X509Certificate(pem).raw).digest('hex')
  return certificates.map(pem => sumOf(pem).slice(0, 16)).join('+')
}
