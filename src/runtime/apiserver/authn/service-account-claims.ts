/**
 * What stands in a service-account token, and whether it still holds: the account and the object it is bound
 * to must exist with the identity they had when the token was made. Pure but for the object reader.
 */
import type { KubeObject } from '../../../kube/object.ts'
import type { ObjectReader } from '../ports.ts'
import type { UserInfo } from '../user.ts'
import type { Claims } from './jwt.ts'

export interface ObjectClaim {
  readonly name: string
  readonly uid: string
}

/** The private claim `kubernetes.io`. */
export interface KubernetesClaim {
  readonly namespace: string
  readonly serviceaccount: ObjectClaim
  readonly pod?: ObjectClaim
  readonly secret?: ObjectClaim
  readonly node?: ObjectClaim
  /** Seconds since the epoch; after it the client should have fetched a new token. */
  readonly warnafter?: number
}

export type Verdict =
  | { readonly valid: true; readonly user: UserInfo; readonly audiences: readonly string[] }
  | { readonly valid: false; readonly reason: string }

/** Clocks may differ by so much, and a deleted object's tokens live on for so long. */
const LEEWAY_SECONDS = 60

const invalidated: Verdict = { valid: false, reason: 'service account token has been invalidated' }
const invalidBearer: Verdict = { valid: false, reason: '' }

export interface ClaimChecks {
  readonly issuer: string
  /** The audiences that the caller accepts. */
  readonly audiences: readonly string[]
  readonly nowMs: number
  readonly objects: ObjectReader
}

/** Judges the claims of a token whose signature is good. */
export function judgeClaims(claims: Claims, checks: ClaimChecks): Verdict {
  if (claims['iss'] !== checks.issuer) return invalidBearer
  const nowSeconds = checks.nowMs / 1000
  if (!(Number(claims['exp']) + LEEWAY_SECONDS > nowSeconds)) {
    return { valid: false, reason: 'service account token has expired' }
  }
  if (Number(claims['nbf'] ?? 0) - LEEWAY_SECONDS > nowSeconds) {
    return { valid: false, reason: 'service account token is not valid yet' }
  }
  const audiences = audiencesOf(claims)
  const accepted = audiences.filter(audience => checks.audiences.includes(audience))
  if (accepted.length === 0) {
    const [given, wanted] = [audiences, checks.audiences].map(list => JSON.stringify(list))
    return { valid: false, reason: `token audiences ${given} is invalid for the target audiences ${wanted}` }
  }
  const claim = kubernetesClaimOf(claims)
  if (claim === null) return { valid: false, reason: 'token claims are malformed' }
  return judgeObjects(claim, { checks, accepted, jti: claims['jti'] })
}

function judgeObjects(
  claim: KubernetesClaim,
  context: { checks: ClaimChecks; accepted: readonly string[]; jti: unknown },
): Verdict {
  const { objects, nowMs } = context.checks
  const { namespace, serviceaccount } = claim
  const lives = (resource: string, scope: string, wanted: ObjectClaim): boolean =>
    isAlive(objects.get('', resource, scope, wanted.name), wanted, nowMs)
  if (!lives('serviceaccounts', namespace, serviceaccount)) return invalidated
  if (claim.secret !== undefined && !lives('secrets', namespace, claim.secret)) return invalidated
  if (claim.pod !== undefined && !lives('pods', namespace, claim.pod)) return invalidated
  const nodeBound = claim.node !== undefined && claim.pod === undefined
  if (nodeBound && claim.node !== undefined && !lives('nodes', '', claim.node)) return invalidated
  return { valid: true, user: userOf(claim, context.jti), audiences: context.accepted }
}

function isAlive(object: KubeObject | null, claim: ObjectClaim, nowMs: number): boolean {
  if (object === null || object.metadata.uid !== claim.uid) return false
  const deleted = object.metadata.deletionTimestamp
  return deleted === undefined || Date.parse(deleted) + LEEWAY_SECONDS * 1000 > nowMs
}

function userOf(claim: KubernetesClaim, jti: unknown): UserInfo {
  const extra: Record<string, readonly string[]> = {}
  const prefix = 'authentication.kubernetes.io/'
  if (typeof jti === 'string') extra[`${prefix}credential-id`] = [`JTI=${jti}`]
  if (claim.node !== undefined) {
    extra[`${prefix}node-name`] = [claim.node.name]
    extra[`${prefix}node-uid`] = [claim.node.uid]
  }
  if (claim.pod !== undefined) {
    extra[`${prefix}pod-name`] = [claim.pod.name]
    extra[`${prefix}pod-uid`] = [claim.pod.uid]
  }
  return {
    username: serviceAccountUsername(claim.namespace, claim.serviceaccount.name),
    uid: claim.serviceaccount.uid,
    groups: [...serviceAccountGroups(claim.namespace), 'system:authenticated'],
    extra,
  }
}

export const serviceAccountUsername = (namespace: string, name: string): string =>
  `system:serviceaccount:${namespace}:${name}`

export const serviceAccountGroups = (namespace: string): readonly string[] => [
  'system:serviceaccounts',
  `system:serviceaccounts:${namespace}`,
]

function audiencesOf(claims: Claims): readonly string[] {
  const audience = claims['aud']
  if (typeof audience === 'string') return [audience]
  return Array.isArray(audience) ? audience.filter(item => typeof item === 'string') : []
}

function kubernetesClaimOf(claims: Claims): KubernetesClaim | null {
  const claim = claims['kubernetes.io'] as Partial<KubernetesClaim> | undefined
  const objects = [claim?.serviceaccount, claim?.pod, claim?.secret, claim?.node]
  const wellFormed = objects.every(item => item === undefined || isObjectClaim(item))
  if (typeof claim?.namespace !== 'string' || claim.serviceaccount === undefined || !wellFormed) return null
  const subject = serviceAccountUsername(claim.namespace, claim.serviceaccount.name)
  return claims['sub'] === subject ? (claim as KubernetesClaim) : null
}

const isObjectClaim = (value: ObjectClaim): boolean =>
  typeof value?.name === 'string' && typeof value.uid === 'string'
