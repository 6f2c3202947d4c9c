/**
 * `join.json`, what a node knows of its cluster from its join: where the other servers were found then. The daemon
 * of a server reads it to find its peers at its first start, that of a worker to find the API servers.
 * `join-attempt.json` is there while a join is under way, so that one that was interrupted can be taken back.
 */
import { join } from 'node:path'
import { Mk8sError } from '../../base/errors.ts'
import type { ClusterConfig } from '../../config/node-config.ts'
import { readIfThere } from '../../host/files.ts'
import type { MemberAddress } from '../members/member-record.ts'
import type { PeerLocation } from '../store/raft-store.ts'
import type { AttemptCredentials, KnownMember } from './protocol.ts'

export interface JoinFile {
  readonly clusterId: string
  readonly cluster: ClusterConfig
  /** The servers of the cluster when this node joined. */
  readonly members: readonly KnownMember[]
}

export interface AttemptFile {
  readonly attempt: AttemptCredentials
  /** Servers that the attempt can be asked about. */
  readonly servers: readonly MemberAddress[]
  readonly fingerprint: string
  /** Whether the commit may have been asked for. */
  readonly stage: 'reserved' | 'committing'
}

export const joinFilePath = (dataDir: string): string => join(dataDir, 'join.json')
export const attemptFilePath = (dataDir: string): string => join(dataDir, 'join-attempt.json')

/** Undefined for a node that founded its cluster. */
export const readJoinFile = (dataDir: string): JoinFile | undefined => readJson(joinFilePath(dataDir))

/** Undefined when no join is under way. */
export const readAttemptFile = (dataDir: string): AttemptFile | undefined =>
  readJson(attemptFilePath(dataDir))

/** As `PeerOptions.known` takes them. */
export function knownPeers(file: JoinFile | undefined): readonly PeerLocation[] {
  return (file?.members ?? []).map(({ id, peerAddresses }) => ({
    member: Number.parseInt(id, 16),
    addresses: peerAddresses,
  }))
}

export const renderJson = (value: object): string => `${JSON.stringify(value, null, 2)}\n`

function readJson<T>(path: string): T | undefined {
  const text = readIfThere(path)
  if (text === undefined) return undefined
  try {
    return JSON.parse(text) as T
  } catch (error) {
    throw new Mk8sError('config/unreadable', `${path} is damaged`, {
      hint: 'if this node is in no cluster yet: mk8s uninstall, then join again',
      cause: error,
    })
  }
}
