/** Signing and checking of JSON Web Tokens with ES256 and RS256 keys; knows nothing of Kubernetes. */
import { createHash, createPrivateKey, createPublicKey, type KeyObject, sign, verify } from 'node:crypto'
import { isMap } from '../../../kube/json-map.ts'

export type Claims = Readonly<Record<string, unknown>>

export interface SigningKey {
  readonly key: KeyObject
  readonly algorithm: Algorithm
  readonly keyId: string
}

export type Algorithm = 'ES256' | 'RS256'

/** Reads a private key in PEM. */
export function readSigningKey(pem: string): SigningKey {
  const key = createPrivateKey(pem)
  return { key, algorithm: algorithmOf(key), keyId: keyIdOf(createPublicKey(key)) }
}

/** Reads a public key in PEM. */
export function readVerifyingKey(pem: string): SigningKey {
  const key = createPublicKey(pem)
  return { key, algorithm: algorithmOf(key), keyId: keyIdOf(key) }
}

/** The token in its compact form. */
export function signJwt(claims: Claims, signer: SigningKey): string {
  const header = encode({ alg: signer.algorithm, kid: signer.keyId })
  const text = `${header}.${encode(claims)}`
  const signature = sign('sha256', Buffer.from(text), { key: signer.key, dsaEncoding: 'ieee-p1363' })
  return `${text}.${signature.toString('base64url')}`
}

/** The claims without any check of who signed them; null when it is no token at all. */
export function peekClaims(token: string): Claims | null {
  const parts = token.split('.')
  return parts.length === 3 ? decode(parts[1] ?? '') : null
}

/** The claims, when one of `keys` signed them; otherwise null. Looks at no claim. */
export function verifyJwt(token: string, keys: readonly SigningKey[]): Claims | null {
  const [head, body, signature, ...rest] = token.split('.')
  if (head === undefined || body === undefined || signature === undefined || rest.length > 0) return null
  const header = decode(head)
  if (header === null) return null
  const matching = keys.filter(key => key.algorithm === header['alg'])
  const named = matching.filter(key => key.keyId === header['kid'])
  const text = Buffer.from(`${head}.${body}`)
  const bytes = Buffer.from(signature, 'base64url')
  const signed = (named.length > 0 ? named : matching).some(({ key }) =>
    verify('sha256', text, { key, dsaEncoding: 'ieee-p1363' }, bytes),
  )
  return signed ? decode(body) : null
}

/** The key as an entry of a JSON Web Key Set. */
export function toJwk(key: SigningKey): Record<string, unknown> {
  return { use: 'sig', kid: key.keyId, alg: key.algorithm, ...key.key.export({ format: 'jwk' }) }
}

function algorithmOf(key: KeyObject): Algorithm {
  return key.asymmetricKeyType === 'rsa' ? 'RS256' : 'ES256'
}

function keyIdOf(publicKey: KeyObject): string {
  const der = publicKey.export({ type: 'spki', format: 'der' })
  return createHash('sha256').update(der).digest('base64url')
}

const encode = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url')

function decode(part: string): Claims | null {
  try {
    const value: unknown = JSON.parse(Buffer.from(part, 'base64url').toString('utf8'))
    return isMap(value) ? (value as Claims) : null
  } catch {
    return null
  }
}
