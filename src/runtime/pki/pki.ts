/**
 * The door of the pki: makes what a node's pki directory lacks, renews what runs out, and reads it for the
 * daemon. An authority is made once here; refresh-authority.ts is for its successor.
 */
import { createPrivateKey, X509Certificate } from 'node:crypto'
import { join } from 'node:path'
import type { Clock } from '../../base/clock.ts'
import { Mk8sError, messageOf } from '../../base/errors.ts'
import type { Random } from '../../base/random.ts'
import {
  AUTHORITIES,
  type AuthorityName,
  LEAVES,
  type LeafFacts,
  type LeafName,
  type LeafPlan,
  planLeaves,
} from './authorities.ts'
import { type FileToWrite, makePrivateDirectory, pairPaths, readIfThere, writeFilesDurably } from './files.ts'
import { generateKey, issueAuthority, issueLeaf, type PemPair } from './issue.ts'
import { finishReplacement, readCross } from './refresh-authority.ts'
import { keysIn, publicKeysOf } from './service-account-keys.ts'
import { AUTHORITY_DAYS, endOf, isDue, LEAF_DAYS, signerOf, validityFrom } from './validity.ts'

export type { PemPair } from './issue.ts'

export interface PkiParts extends LeafFacts {
  readonly directory: string
  /** Leaves to renew although they are good; names such as `apiserver`. */
  readonly renew?: readonly string[]
  readonly clock: Pick<Clock, 'now'>
  readonly random: Random
}

/** The names of what was made, renewed and left alone, for example `apiserver`. */
export interface PkiReport {
  readonly created: readonly string[]
  readonly renewed: readonly string[]
  readonly kept: readonly string[]
}

/** Everything in the directory, as PEM. */
export interface Pki {
  readonly authorities: Readonly<Record<AuthorityName, PemPair>>
  readonly leaves: Readonly<Record<LeafName, PemPair>>
  /** Each half of one or more pairs; the first private one signs. */
  readonly serviceAccount: { readonly privateKey: string; readonly publicKey: string }
  /** What data keys of Secrets are encrypted with, one in a line; null in a cluster that is older than them. */
  readonly secretsKey: string | null
}

/** Of this cluster's Secrets at rest; base64. */
export const SECRETS_KEY_FILE = 'secrets-encryption.key'
const SECRETS_KEY_BYTES = 32
const SECRET = 0o600
const PUBLIC = 0o644

/** Makes what is missing and renews what must be; doing it again changes nothing. */
export async function ensurePki(parts: PkiParts): Promise<PkiReport> {
  return ensureLeaves(parts, planLeaves(parts))
}

/** As `ensurePki`, for the certificate of the links to other members only. */
export async function ensurePeerCertificate(parts: PkiParts): Promise<PkiReport> {
  return ensureLeaves(
    parts,
    planLeaves(parts).filter(({ name }) => name === 'peer'),
  )
}

async function ensureLeaves(parts: PkiParts, plans: readonly LeafPlan[]): Promise<PkiReport> {
  await makePrivateDirectory(parts.directory)
  await finishReplacement(parts.directory)
  const report = { created: [] as string[], renewed: [] as string[], kept: [] as string[] }
  const files: FileToWrite[] = []
  const authorities = await ensureAuthorities(parts, report, files)
  await Promise.all(
    plans.map(plan => ensureLeaf(plan, { parts, report, files, authority: authorities[plan.authority] })),
  )
  await ensureServiceAccountKeys(parts, report, files)
  await writeFilesDurably(files)
  return report
}

/** Reads the directory; needs no X.509 library. */
export async function loadPki(directory: string): Promise<Pki> {
  const read = async <Name extends string>(names: readonly Name[]): Promise<Record<Name, PemPair>> => {
    const pairs = await Promise.all(names.map(async name => [name, await mustReadPair(directory, name)]))
    return Object.fromEntries(pairs)
  }
  const [authorities, leaves, privateKey, publicKey, cross, secretsKey] = await Promise.all([
    read(AUTHORITIES),
    read(LEAVES),
    mustRead(join(directory, 'service-account.key')),
    mustRead(join(directory, 'service-account.pub')),
    readCross(directory),
    readIfThere(join(directory, SECRETS_KEY_FILE)),
  ])
  const serviceAccount = { privateKey, publicKey }
  return { authorities, leaves: shownWith(cross, leaves), serviceAccount, secretsKey }
}

/** Clients that know the authority before the present one only get from the API server's certificate to it. */
function shownWith(cross: string | null, leaves: Record<LeafName, PemPair>): Record<LeafName, PemPair> {
  if (cross === null) return leaves
  const { certificate, key } = leaves.apiserver
  return { ...leaves, apiserver: { certificate: `${certificate}${cross}`, key } }
}

type Report = { created: string[]; renewed: string[]; kept: string[] }

async function ensureAuthorities(
  parts: PkiParts,
  report: Report,
  files: FileToWrite[],
): Promise<Record<AuthorityName, PemPair>> {
  const entries = AUTHORITIES.map(async (name): Promise<[AuthorityName, PemPair]> => {
    const found = await readPair(parts.directory, name)
    if (found !== null) {
      report.kept.push(name)
      return [name, found.pair]
    }
    const pair = await issueAuthority(
      `mk8s-${name}`,
      validityFrom(parts.clock.now(), AUTHORITY_DAYS),
      parts.random,
    )
    files.push(...pairFiles(parts.directory, name, pair))
    report.created.push(name)
    return [name, pair]
  })
  return Object.fromEntries(await Promise.all(entries)) as Record<AuthorityName, PemPair>
}

async function ensureLeaf(
  plan: LeafPlan,
  context: { parts: PkiParts; report: Report; files: FileToWrite[]; authority: PemPair },
): Promise<void> {
  const { parts, report, files, authority } = context
  const found = await readPair(parts.directory, plan.name)
  const isForced = parts.renew?.includes(plan.name) === true
  if (!isForced && found !== null && isGoodEnough(found.certificate, plan, authority, parts.clock.now())) {
    report.kept.push(plan.name)
    return
  }
  const key = found?.pair.key ?? generateKey()
  const certificate = await issueLeaf(plan, {
    authority,
    key,
    validity: validityFrom(parts.clock.now(), LEAF_DAYS, endOf(signerOf(authority.certificate))),
    random: parts.random,
  })
  const made = pairFiles(parts.directory, plan.name, { key, certificate })
  // A renewed certificate keeps its key, so that one rename replaces it and no mismatch can be left behind.
  files.push(...(found === null ? made : made.slice(1)))
  if (found === null) report.created.push(plan.name)
  else report.renewed.push(plan.name)
}

function isGoodEnough(
  certificate: X509Certificate,
  plan: LeafPlan,
  authority: PemPair,
  nowMs: number,
): boolean {
  const issuer = signerOf(authority.certificate)
  const names = certificate.subjectAltName ?? ''
  return (
    !isDue(certificate, issuer, nowMs) &&
    certificate.checkIssued(issuer) &&
    certificate.verify(issuer.publicKey) &&
    certificate.subject.split('\n').includes(`CN=${plan.commonName}`) &&
    plan.dnsNames.every(name => certificate.checkHost(name, { subject: 'never' }) !== undefined) &&
    plan.ipAddresses.every(address => certificate.checkIP(address) !== undefined) &&
    plan.uris.every(uri => names.includes(`URI:${uri}`))
  )
}

/** ES256 keys that sign service-account tokens and nothing else. */
async function ensureServiceAccountKeys(
  { directory, random }: PkiParts,
  report: Report,
  files: FileToWrite[],
): Promise<void> {
  const keyPath = join(directory, 'service-account.key')
  const publicPath = join(directory, 'service-account.pub')
  const [oldKey, oldPublic] = await Promise.all([readIfThere(keyPath), readIfThere(publicPath)])
  if (oldKey === null && oldPublic !== null) throw missingPartner(publicPath, keyPath)
  const key = oldKey ?? generateKey()
  const publicKey = publicOf(key, keyPath)
  if (oldPublic !== null) {
    const known = publicOf(oldPublic, publicPath)
    if (known === publicKey) {
      report.kept.push('service-account')
      return
    }
    // Of an exchange that was interrupted, one key at least is in both.
    if (!keysIn(known).some(one => publicKey.includes(one))) throw mismatch(publicPath, keyPath)
  }
  if (oldKey === null) files.push({ path: keyPath, text: key, mode: SECRET })
  // Of a cluster that begins here: every other server gets both from one that has them.
  const secretsPath = join(directory, SECRETS_KEY_FILE)
  if (oldKey === null && (await readIfThere(secretsPath)) === null) {
    const text = `${Buffer.from(random.bytes(SECRETS_KEY_BYTES)).toString('base64')}\n`
    files.push({ path: secretsPath, text, mode: SECRET })
  }
  files.push({ path: publicPath, text: publicKey, mode: PUBLIC })
  report.created.push('service-account')
}

function publicOf(pem: string, path: string): string {
  try {
    return publicKeysOf(pem)
  } catch (error) {
    throw damaged(path, error)
  }
}

interface FoundPair {
  readonly pair: PemPair
  readonly certificate: X509Certificate
}

/** The pair, checked; null when neither half is there. */
async function readPair(directory: string, name: string): Promise<FoundPair | null> {
  const paths = pairPaths(directory, name)
  const [certificate, key] = await Promise.all([readIfThere(paths.certificate), readIfThere(paths.key)])
  if (certificate === null && key === null) return null
  if (certificate === null) throw missingPartner(paths.key, paths.certificate)
  if (key === null) throw missingPartner(paths.certificate, paths.key)
  const parsed = parse(paths.certificate, () => new X509Certificate(certificate))
  const privateKey = parse(paths.key, () => createPrivateKey(key))
  if (!parsed.checkPrivateKey(privateKey)) throw mismatch(paths.certificate, paths.key)
  return { pair: { certificate, key }, certificate: parsed }
}

async function mustReadPair(directory: string, name: string): Promise<PemPair> {
  const paths = pairPaths(directory, name)
  const [certificate, key] = await Promise.all([mustRead(paths.certificate), mustRead(paths.key)])
  return { certificate, key }
}

async function mustRead(path: string): Promise<string> {
  const text = await readIfThere(path)
  if (text !== null) return text
  throw new Mk8sError('pki/invalid', `${path} is missing`, {
    hint: 'Run mk8s install again: it makes what is missing.',
  })
}

function pairFiles(directory: string, name: string, pair: PemPair): FileToWrite[] {
  const paths = pairPaths(directory, name)
  return [
    { path: paths.key, text: pair.key, mode: SECRET },
    { path: paths.certificate, text: pair.certificate, mode: PUBLIC },
  ]
}

function parse<T>(path: string, read: () => T): T {
  try {
    return read()
  } catch (error) {
    throw damaged(path, error)
  }
}

const damaged = (path: string, cause: unknown): Mk8sError =>
  new Mk8sError('pki/invalid', `${path} cannot be read as a certificate or key`, {
    why: messageOf(cause),
    hint: 'Restore the file and its partner from a backup.',
    cause,
  })

const missingPartner = (present: string, absent: string): Mk8sError =>
  new Mk8sError('pki/invalid', `${present} is there but ${absent} is not`, {
    hint: `Restore ${absent} from a backup; if it is gone for good, move ${present} away and install again.`,
  })

const mismatch = (certificate: string, key: string): Mk8sError =>
  new Mk8sError('pki/invalid', `${certificate} and ${key} do not belong together`, {
    hint: 'Restore both from the same backup.',
  })
