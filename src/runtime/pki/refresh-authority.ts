/**
 * Replaces the cluster authority by a new one, on a node that is its cluster's only one. The earlier one stays
 * trusted for a while, behind the new one in `cluster-ca.crt`, so that what it signed goes on until it is renewed.
 * The new pair waits under names of its own until both halves are there, and an interrupted exchange is finished.
 */
import { X509Certificate } from 'node:crypto'
import { rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Clock } from '../../base/clock.ts'
import { Mk8sError, messageOf } from '../../base/errors.ts'
import type { Random } from '../../base/random.ts'
import { flushDirectory, pairPaths, readIfThere, writeFilesDurably } from './files.ts'
import { issueAuthority } from './issue.ts'
import { AUTHORITY_DAYS, BACKDATE_MS, certificatesIn, DAY_MS, startOf, validityFrom } from './validity.ts'

const NAME = 'cluster-ca'
const NEXT = `${NAME}.next`
/** How long the earlier authority stays trusted unless it is dropped before. */
export const EARLIER_TRUSTED_MS = 7 * DAY_MS

export interface AuthorityParts {
  readonly directory: string
  readonly clock: Pick<Clock, 'now'>
  readonly random: Random
}

/** Leaves are renewed by the next `ensurePki`, because their issuer is no longer the one that signs. */
export async function replaceClusterAuthority(parts: AuthorityParts): Promise<void> {
  const { directory, clock, random } = parts
  await finishReplacement(directory)
  const present = await readIfThere(pairPaths(directory, NAME).certificate)
  const [signer] = certificatesIn(present ?? '')
  if (signer === undefined) throw new Mk8sError('pki/invalid', `there is no ${NAME}.crt in ${directory}`)
  const validity = validityFrom(clock.now(), AUTHORITY_DAYS)
  const next = await issueAuthority(`mk8s-${NAME}`, validity, random)
  const paths = pairPaths(directory, NEXT)
  // The certificate comes last: with it, both halves are there.
  await writeFilesDurably([
    { path: paths.key, text: next.key, mode: 0o600 },
    { path: paths.certificate, text: `${next.certificate}${signer}`, mode: 0o644 },
  ])
  await finishReplacement(directory)
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
      hint: 'mk8s refresh-certs goes on with it',
      cause: error,
    })
  }
}

/** Trusts the authority that signs and no earlier one, once it has signed for `afterMs`; whether that changed anything. */
export async function dropEarlierAuthorities(
  { directory, clock }: Pick<AuthorityParts, 'directory' | 'clock'>,
  afterMs = EARLIER_TRUSTED_MS,
): Promise<boolean> {
  const path = join(directory, `${NAME}.crt`)
  const [signer, ...earlier] = certificatesIn((await readIfThere(path)) ?? '')
  if (signer === undefined || earlier.length === 0) return false
  if (clock.now() - (startOf(new X509Certificate(signer)) + BACKDATE_MS) < afterMs) return false
  await writeFilesDurably([{ path, text: signer, mode: 0o644 }])
  return true
}
