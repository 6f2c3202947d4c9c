/** The pki directory of a node that joins: the cluster's authorities for a server, certified keys for a worker. */
import { createPublicKey } from 'node:crypto'
import { join } from 'node:path'
import { must } from '../../base/assert.ts'
import { AUTHORITIES, WORKER_LEAVES, type WorkerLeafName } from '../pki/authorities.ts'
import { type FileToWrite, makePrivateDirectory, pairPaths, writeFilesDurably } from '../pki/files.ts'
import { generateKey, type PemPair } from '../pki/issue.ts'
import { SECRETS_KEY_FILE } from '../pki/pki.ts'
import type { WorkerKeys } from '../pki/worker-certificates.ts'
import type { ServerKeys } from './protocol.ts'

const SECRET = 0o600
const PUBLIC = 0o644

/** The leaves of its own are then made by `ensurePki`. */
export async function writeServerKeys(
  directory: string,
  { authorities, serviceAccount, secretsKey = null }: ServerKeys,
): Promise<void> {
  await makePrivateDirectory(directory)
  await writeFilesDurably([
    ...AUTHORITIES.flatMap(name => pairFiles(directory, name, authorities[name])),
    { path: join(directory, 'service-account.key'), text: serviceAccount.privateKey, mode: SECRET },
    { path: join(directory, 'service-account.pub'), text: serviceAccount.publicKey, mode: PUBLIC },
    ...(secretsKey === null
      ? []
      : [{ path: join(directory, SECRETS_KEY_FILE), text: secretsKey, mode: SECRET }]),
  ])
}

export interface WorkerKeyring {
  /** Private keys, which never leave this machine. */
  readonly keys: WorkerKeys
  readonly publicKeys: WorkerKeys
}

export function makeWorkerKeys(): WorkerKeyring {
  const keys = forEachLeaf(() => generateKey())
  const publicOf = (name: WorkerLeafName) =>
    createPublicKey(keys[name]).export({ type: 'spki', format: 'pem' }) as string
  return { keys, publicKeys: forEachLeaf(publicOf) }
}

export async function writeWorkerPki(
  directory: string,
  {
    authority,
    keys,
    certificates,
  }: { readonly authority: string; readonly keys: WorkerKeys; readonly certificates: WorkerKeys | null },
): Promise<void> {
  const issued = must(certificates, 'certificates in the answer to a worker')
  await makePrivateDirectory(directory)
  await writeFilesDurably([
    { path: join(directory, 'cluster-ca.crt'), text: authority, mode: PUBLIC },
    ...WORKER_LEAVES.flatMap(name =>
      pairFiles(directory, name, { key: keys[name], certificate: issued[name] }),
    ),
  ])
}

function pairFiles(directory: string, name: string, pair: PemPair): FileToWrite[] {
  const paths = pairPaths(directory, name)
  return [
    { path: paths.key, text: pair.key, mode: SECRET },
    { path: paths.certificate, text: pair.certificate, mode: PUBLIC },
  ]
}

const forEachLeaf = (make: (name: WorkerLeafName) => string): WorkerKeys =>
  Object.fromEntries(WORKER_LEAVES.map(name => [name, make(name)])) as Record<WorkerLeafName, string>
