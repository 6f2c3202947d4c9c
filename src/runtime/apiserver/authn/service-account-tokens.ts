/**
 * `serviceaccounts/token`: makes tokens that are bound to an account and, when asked, to a pod, a secret or
 * a node, and end when any of them does.
 */
import type { Clock } from '../../../base/clock.ts'
import type { Random } from '../../../base/random.ts'
import { invalid as invalidField } from '../../../kube/field-error.ts'
import type { KubeObject } from '../../../kube/object.ts'
import { badRequest, conflict, forbidden, invalid, notFound } from '../../../kube/status.ts'
import type { TokenRequestSpec } from '../../../kube/types.ts'
import type { ObjectReader, VirtualHandler, VirtualRequest } from '../ports.ts'
import { readSigningKey, type SigningKey, signJwt } from './jwt.ts'
import { type KubernetesClaim, type ObjectClaim, serviceAccountUsername } from './service-account-claims.ts'

export interface TokenIssuerParts {
  readonly issuer: string
  /** PEM of the key that signs now. */
  readonly privateKey: () => string
  /** Audiences of a request that names none; the issuer when left out. */
  readonly audiences?: readonly string[]
  readonly clock: Pick<Clock, 'now'>
  readonly random: Pick<Random, 'uuid'>
}

export interface TokenWish {
  readonly namespace: string
  readonly name: string
  readonly spec: Partial<TokenRequestSpec>
}

export interface IssuedToken {
  readonly token: string
  readonly expirationTimestamp: string
  readonly audiences: readonly string[]
  readonly expirationSeconds: number
}

export interface TokenIssuer {
  /** Throws StatusError: no such account or bound object, or a wish that cannot be granted. */
  issue(wish: TokenWish, objects: ObjectReader): IssuedToken
}

const DEFAULT_SECONDS = 3600
const SECONDS_MIN = 600
const SECONDS_MAX = 2 ** 32
/**
 * What the kubelet asks for by default. Clients that never read the file again would break after an hour, so
 * these tokens are good for a year; `warnafter` says when they should have been fetched anew.
 */
const WARN_ONLY_SECONDS = 3607
const EXTENDED_SECONDS = 365 * 24 * 60 * 60

const serviceAccounts = { group: '', resource: 'serviceaccounts' }
const tokenRequestKind = { group: 'authentication.k8s.io', kind: 'TokenRequest' }

export function createTokenIssuer(parts: TokenIssuerParts): TokenIssuer {
  let known = ''
  let signer: SigningKey | null = null
  const presentSigner = (): SigningKey => {
    const pem = parts.privateKey()
    if (signer === null || pem !== known) signer = readSigningKey(pem)
    known = pem
    return signer
  }
  const ownAudiences = parts.audiences ?? [parts.issuer]
  return {
    issue(wish, objects) {
      const account = objects.get('', 'serviceaccounts', wish.namespace, wish.name)
      if (account === null) throw notFound(serviceAccounts, wish.name)
      const expirationSeconds = checkedSeconds(wish)
      const audiences = wish.spec.audiences?.length ? wish.spec.audiences : ownAudiences
      const bound = boundClaims(wish, objects)
      const now = Math.floor(parts.clock.now() / 1000)
      const forApiServer = audiences.every(audience => ownAudiences.includes(audience))
      const extend = expirationSeconds === WARN_ONLY_SECONDS && bound.pod !== undefined && forApiServer
      const kubernetes: KubernetesClaim = {
        namespace: wish.namespace,
        ...bound,
        serviceaccount: claimOf(account),
        ...(extend ? { warnafter: now + expirationSeconds } : {}),
      }
      const claims = {
        aud: audiences,
        exp: now + (extend ? EXTENDED_SECONDS : expirationSeconds),
        iat: now,
        iss: parts.issuer,
        jti: parts.random.uuid(),
        'kubernetes.io': kubernetes,
        nbf: now,
        sub: serviceAccountUsername(wish.namespace, wish.name),
      }
      const expirationTimestamp = timestamp(now + expirationSeconds)
      return { token: signJwt(claims, presentSigner()), expirationTimestamp, audiences, expirationSeconds }
    },
  }
}

/** The handler of `serviceaccounts/NAME/token`. */
export function createTokenHandler(issuer: TokenIssuer, clock: Pick<Clock, 'now'>): VirtualHandler {
  return {
    ...serviceAccounts,
    subresource: 'token',
    async handle(request, { objects }) {
      const { namespace, name, body } = request
      const given = body?.metadata?.name ?? ''
      if (given !== '' && given !== name) {
        const detail = 'must match the service account name if specified'
        throw invalid(tokenRequestKind, name, [invalidField('metadata.name', given, detail)])
      }
      const spec = (body?.['spec'] ?? {}) as Partial<TokenRequestSpec>
      checkNode(request, spec, objects)
      const issued = issuer.issue({ namespace, name, spec }, objects)
      const { audiences, expirationSeconds, expirationTimestamp, token } = issued
      const object: KubeObject = {
        kind: 'TokenRequest',
        apiVersion: 'authentication.k8s.io/v1',
        metadata: { name, namespace, creationTimestamp: timestamp(clock.now() / 1000) },
        spec: { audiences, expirationSeconds, boundObjectRef: spec.boundObjectRef ?? null },
        status: { expirationTimestamp, token },
      }
      return { status: 201, object }
    },
  }
}

const NODE_PREFIX = 'system:node:'

/** A kubelet gets tokens for the pods of its own node only, bound to them. */
function checkNode(
  { user, namespace, name }: VirtualRequest,
  spec: Partial<TokenRequestSpec>,
  objects: ObjectReader,
): void {
  if (!user.groups.includes('system:nodes')) return
  const reference = spec.boundObjectRef
  if (reference?.kind !== 'Pod' || !reference.name) {
    throw forbidden(serviceAccounts, name, 'node requested token not bound to a pod')
  }
  if (!reference.uid) {
    throw forbidden(serviceAccounts, name, 'node requested token with a pod binding without a uid')
  }
  const pod = objects.get('', 'pods', namespace, reference.name)
  const node = (pod?.['spec'] as { nodeName?: string } | undefined)?.nodeName ?? ''
  if (pod === null || `${NODE_PREFIX}${node}` === user.username) return
  throw forbidden(serviceAccounts, name, 'node requested token bound to a pod scheduled on a different node')
}

function checkedSeconds({ name, spec }: TokenWish): number {
  const seconds = spec.expirationSeconds ?? DEFAULT_SECONDS
  const refuse = (detail: string) =>
    invalid(tokenRequestKind, name, [invalidField('spec.expirationSeconds', seconds, detail)])
  if (seconds < SECONDS_MIN) throw refuse('may not specify a duration less than 10 minutes')
  if (seconds > SECONDS_MAX) throw refuse('may not specify a duration larger than 2^32 seconds')
  return seconds
}

function boundClaims(
  wish: TokenWish,
  objects: ObjectReader,
): { pod?: ObjectClaim; secret?: ObjectClaim; node?: ObjectClaim } {
  const reference = wish.spec.boundObjectRef
  if (reference === undefined || reference === null) return {}
  const { kind = '', name = '', uid = '', apiVersion = '' } = reference
  const find = (resource: string, namespace: string): KubeObject => {
    const target = { group: '', resource }
    const object = objects.get('', resource, namespace, name)
    if (object === null) throw notFound(target, name)
    if (uid === '' || uid === object.metadata.uid) return object
    throw conflict(target, name, uidMismatch(uid, object.metadata.uid ?? ''))
  }
  const core = apiVersion === '' || apiVersion === 'v1'
  if (core && kind === 'Pod') return podClaims(find('pods', wish.namespace), wish, objects)
  if (core && kind === 'Secret') return { secret: claimOf(find('secrets', wish.namespace)) }
  if (core && kind === 'Node') return { node: claimOf(find('nodes', '')) }
  throw badRequest(`cannot bind token to object of type ${apiVersion}, Kind=${kind}`)
}

function podClaims(
  pod: KubeObject,
  wish: TokenWish,
  objects: ObjectReader,
): { pod: ObjectClaim; node?: ObjectClaim } {
  const spec = (pod['spec'] ?? {}) as { serviceAccountName?: string; nodeName?: string }
  if (spec.serviceAccountName !== wish.name) {
    const account = JSON.stringify(wish.name)
    throw badRequest(
      `cannot bind token for serviceaccount ${account} to pod running with different serviceaccount name.`,
    )
  }
  const node = spec.nodeName ? objects.get('', 'nodes', '', spec.nodeName) : null
  return { pod: claimOf(pod), ...(node === null ? {} : { node: claimOf(node) }) }
}

const uidMismatch = (wanted: string, found: string): string =>
  `the UID in the bound object reference (${wanted}) does not match the UID in record (${found}). ` +
  'The object might have been deleted and then recreated'

const claimOf = (object: KubeObject): ObjectClaim => ({
  name: object.metadata.name ?? '',
  uid: object.metadata.uid ?? '',
})

const timestamp = (seconds: number): string =>
  new Date(Math.floor(seconds) * 1000).toISOString().replace('.000Z', 'Z')
