/**
 * The files of a cluster authority that is being replaced by another one. `cluster-ca.crt` holds all that are
 * trusted, the one that signs first; `cluster-ca.coming.key` the next one with its key while it does not sign yet;
 * `cluster-ca.cross` the next one's key certified by the earlier one, for clients that know the earlier one only.
 * The pair that signs is exchanged under names of its own, and an interrupted exchange is finished.
 */
import { createPrivateKey, X509Certificate } from 'node:crypto'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Clock } from '../../base/clock.ts'
import { Mk8sError, messageOf } from '../../base/errors.ts'
import type { Random } from '../../base/random.ts'
import { flushDirectory } from '../../host/flush.ts'
import { rename } from '../../host/rename.ts'
import { pairPaths, readIfThere, writeFilesDurably } from './files.ts'
import { issueAuthority, issueCross, type PemPair } from './issue.ts'
import { AUTHORITY_DAYS, certificatesIn, DAY_MS, endOf, signerOf, validityFrom } from './validity.ts'

const NAME = 'cluster-ca'
const NEXT = `${NAME}.next`
/** How long the earlier authority stays trusted unless it is dropped before. */
export const EARLIER_TRUSTED_MS = 7 * DAY_MS

const comingPath = (directory: string): string => join(directory, `${NAME}.coming.key`)
const crossPath = (directory: string): string => join(directory, `${NAME}.cross`)

export interface AuthorityParts {
  readonly directory: string
  readonly clock: Pick<Clock, 'now'>
  readonly random: Random
}

/** PEM all of it. */
export interface AuthorityState {
  /** The one that signs comes first. */
  readonly trusted: readonly string[]
  /** The next one, where it is known and does not sign yet. */
  readonly coming: PemPair | null
  /** What API servers show for those who know the earlier one only. */
  readonly cross: string | null
}

export async function readAuthorities(directory: string): Promise<AuthorityState> {
  const text = await readIfThere(pairPaths(directory, NAME).certificate)
  const trusted = certificatesIn(text ?? '')
  if (trusted.length === 0) throw new Mk8sError('pki/invalid', `there is no ${NAME}.crt in ${directory}`)
  const [coming, cross] = await Promise.all([readComing(directory), readCross(directory)])
  return { trusted, coming: coming?.certificate === trusted[0] ? null : coming, cross }
}

/** What is kept in one file is there as a whole or not at all. */
async function readComing(directory: string): Promise<PemPair | null> {
  const text = await readIfThere(comingPath(directory))
  const [certificate] = certificatesIn(text ?? '')
  if (text === null || certificate === undefined) return null
  return { certificate, key: text.slice(0, text.indexOf('-----BEGIN CERTIFICATE')) }
}

/** The next authority as all others may know it. */
export interface NextAuthority {
  readonly certificate: string
  /** Its key, certified by the present authority. */
  readonly cross: string
}

/** Makes the next authority and keeps it; one that was made before and never used is taken again. */
export async function prepareNextAuthority(parts: AuthorityParts): Promise<NextAuthority> {
  const { directory, clock, random } = parts
  await finishReplacement(directory)
  const { trusted, coming } = await readAuthorities(directory)
  const [certificate = ''] = trusted
  const key = (await readIfThere(pairPaths(directory, NAME).key)) ?? ''
  const id = Buffer.from(random.bytes(4)).toString('hex')
  const validity = validityFrom(clock.now(), AUTHORITY_DAYS)
  const next = coming ?? (await issueAuthority(`mk8s-${NAME}-${id}`, validity, random))
  await keepComingAuthority(directory, next)
  const until = endOf(signerOf(certificate))
  const crossed = validityFrom(clock.now(), AUTHORITY_DAYS, until)
  const cross = await issueCross(next.certificate, {
    authority: { certificate, key },
    validity: crossed,
    random,
  })
  return { certificate: next.certificate, cross }
}

/** Throws `pki/invalid` for a key that is not that of the certificate. */
export async function keepComingAuthority(directory: string, { certificate, key }: PemPair): Promise<void> {
  if (!isPair(certificate, key))
    throw new Mk8sError('pki/invalid', 'the key of the next authority does not belong to its certificate')
  const text = `${key.trimEnd()}\n${certificate}`
  await writeFilesDurably([{ path: comingPath(directory), text, mode: 0o600 }])
}

function isPair(certificate: string, key: string): boolean {
  try {
    return new X509Certificate(certificate).checkPrivateKey(createPrivateKey(key))
  } catch {
    return false
  }
}

/**
 * Trusts these from now on, the first of which signs: the present one, or the coming one. `cross` is shown to
 * clients behind the leaf; null for none. Whether anything changed.
 */
export async function setAuthorities(
  directory: string,
  wanted: readonly string[],
  cross: string | null = null,
): Promise<boolean> {
  await finishReplacement(directory)
  const { trusted, coming } = await readAuthorities(directory)
  const text = wanted.join('')
  const isNew = trusted.join('') !== text
  if (wanted[0] === trusted[0]) {
    if (isNew) await writeFilesDurably([{ path: pairPaths(directory, NAME).certificate, text, mode: 0o644 }])
  } else {
    if (coming === null || wanted[0] !== coming.certificate)
      throw new Mk8sError('pki/invalid', 'the key of the authority that is to sign is not here')
    const paths = pairPaths(directory, NEXT)
    // The certificate comes last: with it, both halves are there.
    await writeFilesDurably([
      { path: paths.key, text: coming.key, mode: 0o600 },
      { path: paths.certificate, text, mode: 0o644 },
    ])
    await finishReplacement(directory)
  }
  return (await setCross(directory, cross)) || isNew
}

async function setCross(directory: string, cross: string | null): Promise<boolean> {
  if ((await readIfThere(crossPath(directory))) === cross) return false
  if (cross === null) await rm(crossPath(directory), { force: true })
  else await writeFilesDurably([{ path: crossPath(directory), text: cross, mode: 0o644 }])
  return true
}

export const readCross = (directory: string): Promise<string | null> => readIfThere(crossPath(directory))

/** For one that signs already, or that nobody waits for any more. */
export async function forgetComingAuthority(directory: string): Promise<void> {
  await rm(comingPath(directory), { force: true })
}

/** Ends an exchange that was interrupted; does nothing when there is none. */
export async function finishReplacement(directory: string): Promise<void> {
  const [from, to] = [pairPaths(directory, NEXT), pairPaths(directory, NAME)]
  try {
    if ((await readIfThere(from.certificate)) === null) {
      await rm(from.key, { force: true })
      return
    }
    if ((await readIfThere(from.key)) !== null) await rename(from.key, to.key)
    await rename(from.certificate, to.certificate)
    await flushDirectory(directory)
  } catch (error) {
    if (error instanceof Mk8sError) throw error
    throw new Mk8sError('host/disk', `cannot put the new authority in place in ${directory}`, {
      why: messageOf(error),
      hint: 'it is tried again',
      cause: error,
    })
  }
}
