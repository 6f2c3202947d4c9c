/**
 * Makes and signs X.509 certificates. The only file that loads the X.509 library, and it does so when it is
 * asked to issue: a daemon whose certificates are all there never pays for it.
 */
import { createPrivateKey, createPublicKey, generateKeyPairSync, webcrypto } from 'node:crypto'
import type { Extension, X509CertificateCreateParamsName } from '@peculiar/x509'
import type { Random } from '../../base/random.ts'
import type { LeafPlan } from './authorities.ts'
import { signerOf, type Validity } from './validity.ts'

/** A certificate and its private key, both PEM. */
export interface PemPair {
  readonly certificate: string
  readonly key: string
}

const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const

export type X509 = typeof import('@peculiar/x509')

export async function loadX509(): Promise<X509> {
  await import('reflect-metadata')
  const x509 = await import('@peculiar/x509')
  x509.cryptoProvider.set(webcrypto as unknown as Crypto)
  return x509
}

/** A new P-256 private key as PKCS #8 PEM. */
export function generateKey(): string {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  return privateKey.export({ type: 'pkcs8', format: 'pem' }) as string
}

/** A self-signed authority. */
export async function issueAuthority(
  commonName: string,
  validity: Validity,
  random: Random,
): Promise<PemPair> {
  const x509 = await loadX509()
  const key = generateKey()
  const keys = await cryptoKeys(key)
  const usage = x509.KeyUsageFlags
  const certificate = await x509.X509CertificateGenerator.create({
    serialNumber: serialNumber(random),
    subject: [{ CN: [commonName] }],
    issuer: [{ CN: [commonName] }],
    ...validity,
    signingAlgorithm: ALGORITHM,
    publicKey: keys.publicKey,
    signingKey: keys.privateKey,
    extensions: [
      new x509.BasicConstraintsExtension(true, undefined, true),
      new x509.KeyUsagesExtension(usage.digitalSignature | usage.keyCertSign | usage.cRLSign, true),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  })
  return { certificate: pem(certificate.toString('pem')), key }
}

/** The key of `next` in a certificate of the authority before it: who trusts that one gets to the next one by it. */
export async function issueCross(
  next: string,
  options: { readonly authority: PemPair; readonly validity: Validity; readonly random: Random },
): Promise<string> {
  const x509 = await loadX509()
  const subject = new x509.X509Certificate(signerOf(next).toString())
  const issuer = new x509.X509Certificate(signerOf(options.authority.certificate).toString())
  const signer = await cryptoKeys(options.authority.key)
  const usage = x509.KeyUsageFlags
  const certificate = await x509.X509CertificateGenerator.create({
    serialNumber: serialNumber(options.random),
    subject: subject.subjectName.toJSON(),
    issuer: issuer.subjectName.toJSON(),
    ...options.validity,
    signingAlgorithm: ALGORITHM,
    publicKey: subject.publicKey,
    signingKey: signer.privateKey,
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(usage.keyCertSign, true),
      await x509.AuthorityKeyIdentifierExtension.create(issuer.publicKey),
      await x509.SubjectKeyIdentifierExtension.create(subject.publicKey),
    ],
  })
  return pem(certificate.toString('pem'))
}

/** A leaf certificate for `key` (the private or the public one, PEM), signed by `authority`. Returns its PEM. */
export async function issueLeaf(
  plan: Omit<LeafPlan, 'name' | 'authority'> & Partial<LeafPlan>,
  options: {
    readonly authority: PemPair
    readonly key: string
    readonly validity: Validity
    readonly random: Random
  },
): Promise<string> {
  const x509 = await loadX509()
  const issuer = new x509.X509Certificate(signerOf(options.authority.certificate).toString())
  const signer = await cryptoKeys(options.authority.key)
  const publicKey = await publicCryptoKey(options.key)
  const certificate = await x509.X509CertificateGenerator.create({
    serialNumber: serialNumber(options.random),
    subject: subjectOf(plan),
    issuer: issuer.subjectName.toJSON(),
    ...options.validity,
    signingAlgorithm: ALGORITHM,
    publicKey,
    signingKey: signer.privateKey,
    extensions: [
      ...leafExtensions(x509, plan),
      await x509.AuthorityKeyIdentifierExtension.create(issuer.publicKey),
      await x509.SubjectKeyIdentifierExtension.create(publicKey),
    ],
  })
  return pem(certificate.toString('pem'))
}

/** A certificate that nobody vouches for: for servers which need one until they are given a better. */
export async function issueSelfSigned(
  plan: { readonly commonName: string; readonly dnsNames: readonly string[] },
  validity: Validity,
  random: Random,
): Promise<PemPair> {
  const x509 = await loadX509()
  const key = generateKey()
  const keys = await cryptoKeys(key)
  const usages = ['server'] as const
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: serialNumber(random),
    name: [{ CN: [plan.commonName] }],
    ...validity,
    signingAlgorithm: ALGORITHM,
    keys,
    extensions: leafExtensions(x509, { ...plan, usages, ipAddresses: [], uris: [] }),
  })
  return { certificate: pem(certificate.toString('pem')), key }
}

function subjectOf(plan: Pick<LeafPlan, 'commonName' | 'organization'>): X509CertificateCreateParamsName {
  const organization = plan.organization === undefined ? [] : [{ O: [plan.organization] }]
  return [...organization, { CN: [plan.commonName] }]
}

function leafExtensions(
  x509: X509,
  plan: Pick<LeafPlan, 'usages' | 'dnsNames' | 'ipAddresses' | 'uris'>,
): Extension[] {
  const usages = { server: x509.ExtendedKeyUsage.serverAuth, client: x509.ExtendedKeyUsage.clientAuth }
  const names = [
    ...plan.dnsNames.map(value => ({ type: 'dns' as const, value })),
    ...plan.ipAddresses.map(value => ({ type: 'ip' as const, value })),
    ...plan.uris.map(value => ({ type: 'url' as const, value })),
  ]
  return [
    new x509.BasicConstraintsExtension(false, undefined, true),
    new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
    new x509.ExtendedKeyUsageExtension(plan.usages.map(usage => usages[usage])),
    ...(names.length === 0 ? [] : [new x509.SubjectAlternativeNameExtension(names)]),
  ]
}

export async function cryptoKeys(pemKey: string): Promise<{ privateKey: CryptoKey; publicKey: CryptoKey }> {
  const der = createPrivateKey(pemKey).export({ type: 'pkcs8', format: 'der' })
  const privateKey = await webcrypto.subtle.importKey('pkcs8', der, ALGORITHM, false, ['sign'])
  return { privateKey: privateKey as CryptoKey, publicKey: await publicCryptoKey(pemKey) }
}

/** Of a private or a public key. */
async function publicCryptoKey(pemKey: string): Promise<CryptoKey> {
  const der = createPublicKey(pemKey).export({ type: 'spki', format: 'der' })
  return (await webcrypto.subtle.importKey('spki', der, ALGORITHM, true, ['verify'])) as CryptoKey
}

/** 127 random bits in hexadecimal, positive and never zero. */
export function serialNumber(random: Random): string {
  const bytes = Buffer.from(random.bytes(16))
  bytes[0] = ((bytes[0] ?? 0) & 0x7f) | 0x40
  return bytes.toString('hex')
}

const pem = (text: string): string => (text.endsWith('\n') ? text : `${text}\n`)
