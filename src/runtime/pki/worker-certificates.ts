/**
 * The certificates of a worker: issued on a server, for public keys of the worker and for exactly its name; and
 * how the worker reads them.
 */
import { createPublicKey } from 'node:crypto'
import { join } from 'node:path'
import type { Clock } from '../../base/clock.ts'
import { Mk8sError, messageOf } from '../../base/errors.ts'
import type { Random } from '../../base/random.ts'
import { planWorkerLeaves, WORKER_LEAVES, type WorkerLeafName } from './authorities.ts'
import { pairPaths, readIfThere } from './files.ts'
import { issueLeaf, type PemPair } from './issue.ts'
import { endOf, LEAF_DAYS, signerOf, validityFrom } from './validity.ts'

/** PEM. */
export type WorkerKeys = Readonly<Record<WorkerLeafName, string>>

export interface WorkerPki {
  /** PEM; certificates only, a worker holds no authority's key. */
  readonly clusterAuthority: string
  readonly leaves: Readonly<Record<WorkerLeafName, PemPair>>
}

export interface WorkerIssue {
  readonly nodeName: string
  readonly addresses: readonly string[]
  /** The worker's public keys. */
  readonly publicKeys: WorkerKeys
  /** The cluster authority. */
  readonly authority: PemPair
  readonly clock: Pick<Clock, 'now'>
  readonly random: Random
}

/** The certificates of every key. Throws `pki/invalid` when one of them is no public key on P-256. */
export async function issueWorkerCertificates(issue: WorkerIssue): Promise<WorkerKeys> {
  const { authority, publicKeys, clock, random } = issue
  const validity = validityFrom(clock.now(), LEAF_DAYS, endOf(signerOf(authority.certificate)))
  const issued = planWorkerLeaves(issue).map(async plan => {
    const key = checkedKey(publicKeys[plan.name])
    return [plan.name, await issueLeaf(plan, { authority, key, validity, random })]
  })
  return Object.fromEntries(await Promise.all(issued))
}

function checkedKey(pem: string): string {
  try {
    const key = createPublicKey(pem)
    if (pem.includes('PRIVATE KEY')) throw new Error('it is a private key')
    if (key.asymmetricKeyDetails?.namedCurve !== 'prime256v1') throw new Error('it is not on the curve P-256')
    return key.export({ type: 'spki', format: 'pem' }) as string
  } catch (error) {
    throw new Mk8sError('pki/invalid', 'a key to be certified cannot be used', { why: messageOf(error) })
  }
}

/** What a worker's directory holds: `cluster-ca.crt` and a pair per leaf. */
export async function loadWorkerPki(directory: string): Promise<WorkerPki> {
  const pairs = WORKER_LEAVES.map(async name => {
    const paths = pairPaths(directory, name)
    const [certificate, key] = await Promise.all([mustRead(paths.certificate), mustRead(paths.key)])
    return [name, { certificate, key }]
  })
  const clusterAuthority = await mustRead(join(directory, 'cluster-ca.crt'))
  return { clusterAuthority, leaves: Object.fromEntries(await Promise.all(pairs)) }
}

async function mustRead(path: string): Promise<string> {
  const text = await readIfThere(path)
  if (text !== null) return text
  throw new Mk8sError('pki/invalid', `${path} is missing`, {
    hint: 'Restore the file from a backup, or run mk8s reset here and let the worker join again.',
  })
}
