/**
 * What the server that restores and the others say to each other on the join port: prepare, then commit or abort; and
 * the question of a server that was left alone in between, whether it came to a decision.
 */
import { Mk8sError } from '../../base/errors.ts'
import type { ClusterConfig } from '../../config/node-config.ts'
import { isMap } from '../../kube/json-map.ts'
import type { KnownMember } from '../join/protocol.ts'
import type { PemPair } from '../pki/pki.ts'

export const PREPARE_PATH = '/v1/restore/prepare'
export const COMMIT_PATH = '/v1/restore/commit'
export const ABORT_PATH = '/v1/restore/abort'
/** `GET`, with `?generation=<new cluster id>`. */
export const DECISION_PATH = '/v1/restore/decision'

/** `POST`. Nothing of the server changes; it answers `{}` once what it needs is on its disk. */
export interface PrepareRequest {
  /** The cluster's id as it is, and as it is to be. */
  readonly clusterId: string
  readonly newClusterId: string
  /** Of the new generation. */
  readonly peerAuthority: PemPair
  readonly cluster: ClusterConfig
  /** Who restores, and leads the new generation at first. */
  readonly restorer: KnownMember
  /** Name of the directory that will keep what is replaced. */
  readonly keptIn: string
}

/** `POST` of commit and abort. */
export interface GenerationRequest {
  readonly newClusterId: string
}

export interface CommitAnswer {
  /** It serves the old generation no more, and never will. */
  readonly left: boolean
}

/** `none`: the restore did not take place, and never will. */
export type Decision = 'pending' | 'committed' | 'none'

export interface DecisionAnswer {
  readonly decision: Decision
}

/** From a server of the cluster: only the forms are checked that files are named after. */
export function parsePrepare(body: unknown): PrepareRequest {
  const { clusterId, newClusterId, peerAuthority, cluster, restorer, keptIn } = isMap(body) ? body : {}
  const good =
    [clusterId, newClusterId].every(isClusterId) &&
    [peerAuthority, cluster, restorer].every(isMap) &&
    typeof keptIn === 'string' &&
    /^before-restore-[0-9TZ-]+$/.test(keptIn)
  if (!good) throw wrong()
  return { clusterId, newClusterId, peerAuthority, cluster, restorer, keptIn } as unknown as PrepareRequest
}

export function parseGeneration(body: unknown): GenerationRequest {
  const newClusterId = isMap(body) ? body['newClusterId'] : undefined
  if (!isClusterId(newClusterId)) throw wrong()
  return { newClusterId }
}

const isClusterId = (value: unknown): value is string =>
  typeof value === 'string' && /^[0-9a-f-]{36}$/.test(value)

const wrong = (): Mk8sError =>
  new Mk8sError('usage', 'the request of the server that restores makes no sense', {
    hint: 'use the same version of mk8s on all servers',
  })
