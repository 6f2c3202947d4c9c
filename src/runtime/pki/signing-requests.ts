/** Certificate signing requests (PKCS #10): what one asks for, and the certificate that answers it. */
import { webcrypto } from 'node:crypto'
import type { Extension, Pkcs10CertificateRequest } from '@peculiar/x509'
import type { Random } from '../../base/random.ts'
import { cryptoKeys, loadX509, type PemPair, serialNumber, type X509 } from './issue.ts'
import { signerOf, type Validity } from './validity.ts'

/** What a request asks to be called. */
export interface RequestedNames {
  readonly commonName: string
  readonly organizations: readonly string[]
  readonly dnsNames: readonly string[]
  readonly ipAddresses: readonly string[]
  readonly emails: readonly string[]
  readonly uris: readonly string[]
}

export interface SigningOptions {
  readonly authority: PemPair
  /** As `spec.usages` of a CertificateSigningRequest has them. */
  readonly usages: readonly string[]
  readonly validity: Validity
  readonly random: Random
}

const SAN = '2.5.29.17'

/** Throws when it is no request, or not signed with the key that it is about. */
export async function readSigningRequest(pem: string): Promise<RequestedNames> {
  const x509 = await loadX509()
  const request = await parse(x509, pem)
  const names = request.extensions.find(one => one.type === SAN)
  const of = (type: string) => {
    if (names === undefined) return []
    const { items } = new x509.SubjectAlternativeNameExtension(names.rawData).names
    return items.filter(one => one.type === type).map(one => one.value)
  }
  return {
    commonName: request.subjectName.getField('CN')[0] ?? '',
    organizations: request.subjectName.getField('O'),
    dnsNames: of('dns'),
    ipAddresses: of('ip'),
    emails: of('email'),
    uris: of('url'),
  }
}

/** A request for a client's certificate with these names, PEM. */
export async function makeSigningRequest(
  { commonName, organizations }: Pick<RequestedNames, 'commonName' | 'organizations'>,
  key: string,
): Promise<string> {
  const x509 = await loadX509()
  const request = await x509.Pkcs10CertificateRequestGenerator.create({
    name: [{ CN: [commonName] }, ...organizations.map(name => ({ O: [name] }))],
    keys: await cryptoKeys(key),
    signingAlgorithm: { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' },
  })
  return `${request.toString('pem').trimEnd()}\n`
}

/** The certificate, PEM; subject and other names are as the request has them. Throws as `readSigningRequest`. */
export async function signRequest(pem: string, options: SigningOptions): Promise<string> {
  const x509 = await loadX509()
  const request = await parse(x509, pem)
  const issuer = new x509.X509Certificate(signerOf(options.authority.certificate).toString())
  const signer = await cryptoKeys(options.authority.key)
  const names = request.extensions.filter(one => one.type === SAN)
  const certificate = await x509.X509CertificateGenerator.create({
    serialNumber: serialNumber(options.random),
    subject: request.subjectName.toJSON(),
    issuer: issuer.subjectName.toJSON(),
    ...options.validity,
    signingAlgorithm: { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' },
    publicKey: request.publicKey,
    signingKey: signer.privateKey,
    extensions: [
      ...usageExtensions(x509, options.usages),
      new x509.BasicConstraintsExtension(false, undefined, true),
      await x509.AuthorityKeyIdentifierExtension.create(issuer.publicKey),
      ...names,
    ],
  })
  return `${certificate.toString('pem').trimEnd()}\n`
}

async function parse(x509: X509, pem: string): Promise<Pkcs10CertificateRequest> {
  const request = new x509.Pkcs10CertificateRequest(pem)
  if (!(await request.verify(webcrypto as unknown as Crypto))) throw new Error('its signature is not good')
  return request
}

function usageExtensions(x509: X509, usages: readonly string[]): Extension[] {
  const flags = x509.KeyUsageFlags
  const bits: Readonly<Record<string, number>> = {
    signing: flags.digitalSignature,
    'digital signature': flags.digitalSignature,
    'content commitment': flags.nonRepudiation,
    'key encipherment': flags.keyEncipherment,
    'key agreement': flags.keyAgreement,
    'data encipherment': flags.dataEncipherment,
    'cert sign': flags.keyCertSign,
    'crl sign': flags.cRLSign,
    'encipher only': flags.encipherOnly,
    'decipher only': flags.decipherOnly,
  }
  const purposes = usages.flatMap(usage => PURPOSES[usage] ?? [])
  const all = usages.reduce((sum, usage) => sum | (bits[usage] ?? 0), 0)
  return [
    ...(all === 0 ? [] : [new x509.KeyUsagesExtension(all, true)]),
    ...(purposes.length === 0 ? [] : [new x509.ExtendedKeyUsageExtension(purposes)]),
  ]
}

const PKIX = '1.3.6.1.5.5.7.3'
const PURPOSES: Readonly<Record<string, string>> = {
  any: '2.5.29.37.0',
  'server auth': `${PKIX}.1`,
  'client auth': `${PKIX}.2`,
  'code signing': `${PKIX}.3`,
  'email protection': `${PKIX}.4`,
  's/mime': `${PKIX}.4`,
  'ipsec end system': `${PKIX}.5`,
  'ipsec tunnel': `${PKIX}.6`,
  'ipsec user': `${PKIX}.7`,
  timestamping: `${PKIX}.8`,
  'ocsp signing': `${PKIX}.9`,
  'microsoft sgc': '1.3.6.1.4.1.311.10.3.3',
  'netscape sgc': '2.16.840.1.113730.4.1',
}
