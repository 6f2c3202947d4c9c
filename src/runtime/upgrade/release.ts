/**
 * A release: `SHA256SUMS` with the sums of its files, and `SHA256SUMS.sig`, an Ed25519 signature over that list in
 * base64. Nothing of a release is believed before its list was signed with a key that is trusted. Pure.
 */
import { createPublicKey, verify } from 'node:crypto'
import { Mk8sError } from '../../base/errors.ts'
import { isMap } from '../../kube/json-map.ts'
import { parseVersion } from './versions.ts'

export const SUMS = 'SHA256SUMS'
export const SIGNATURE = 'SHA256SUMS.sig'
/** Says which version the release is; its sum is in the list. */
export const RELEASE = 'release.json'
/** At the root of a place with several releases, each in a directory named after its version. */
export const CHANNELS = 'channels.json'
export const CHANNELS_SIGNATURE = 'channels.json.sig'

export interface SignedBytes {
  readonly bytes: Buffer
  /** Base64. */
  readonly signature: string
}

/** @throws Mk8sError `upgrade/unsigned` unless one of the keys (PEM) signed the bytes. */
export function assertSigned({ bytes, signature }: SignedBytes, keys: readonly string[], what: string): void {
  if (keys.length === 0)
    throw new Mk8sError('upgrade/unsigned', `nothing says whose releases to trust, so ${what} is refused`, {
      why: 'this executable was packaged without a release key',
      hint: 'give the public key of the release: --key FILE',
    })
  const raw = Buffer.from(signature.trim(), 'base64')
  if (keys.some(pem => verify(null, bytes, publicKey(pem), raw))) return
  throw new Mk8sError('upgrade/unsigned', `${what} is not signed by whoever makes the releases`, {
    why: `none of the ${keys.length} trusted keys made the signature`,
    hint: 'get the release from where it is published; --key FILE trusts one more key',
  })
}

function publicKey(pem: string) {
  try {
    const key = createPublicKey(pem)
    if (key.asymmetricKeyType === 'ed25519') return key
  } catch {
    // Said below.
  }
  throw new Mk8sError('config/invalid', 'a release key is not an Ed25519 public key in PEM')
}

const LINE = /^([0-9a-f]{64}) [ *]([A-Za-z0-9][A-Za-z0-9._-]*)$/

/** Sums by file name. */
export function parseSums(text: string): ReadonlyMap<string, string> {
  const sums = new Map<string, string>()
  for (const line of text.split('\n').filter(each => each !== '')) {
    const [, sum, name] = LINE.exec(line) ?? []
    if (sum === undefined || name === undefined)
      throw new Mk8sError('upgrade/damaged', `${SUMS} has a line that is no checksum`)
    sums.set(name, sum)
  }
  return sums
}

/** The version that `release.json` tells. */
export function parseRelease(text: string): { readonly version: string } {
  const value = parsed(text, RELEASE)
  const version = isMap(value) ? value['version'] : undefined
  if (typeof version !== 'string') throw new Mk8sError('upgrade/damaged', `${RELEASE} names no version`)
  parseVersion(version)
  return { version }
}

/** Versions by channel. */
export function parseChannels(text: string): ReadonlyMap<string, string> {
  const value = parsed(text, CHANNELS)
  const channels = isMap(value) && isMap(value['channels']) ? Object.entries(value['channels']) : []
  return new Map(
    channels.map(([name, version]) => {
      parseVersion(String(version))
      return [name, String(version)]
    }),
  )
}

function parsed(text: string, name: string): unknown {
  try {
    return JSON.parse(text)
  } catch (error) {
    throw new Mk8sError('upgrade/damaged', `${name} is not JSON`, { cause: error })
  }
}

const SYSTEMS: Readonly<Record<string, string>> = { linux: 'linux', darwin: 'macos', win32: 'win' }

/** The name of the executable for a platform, in Node's words. */
export function executableName(platform: string, arch: string): string {
  const system = SYSTEMS[platform] ?? platform
  return `mk8s-${system}-${arch}${platform === 'win32' ? '.exe' : ''}`
}
