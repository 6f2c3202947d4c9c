/** Bootstrap tokens: Secrets of kube-system by which a machine that has nothing else may ask for a certificate. */
import { timingSafeEqual } from 'node:crypto'
import type { Clock } from '../../../base/clock.ts'
import type { KubeObject } from '../../../kube/object.ts'
import type { ObjectReader } from '../ports.ts'
import type { TokenReviewer } from './authn.ts'

const TOKEN = /^([a-z0-9]{6})\.([a-z0-9]{16})$/
const NAMESPACE = 'kube-system'
const SECRET_TYPE = 'bootstrap.kubernetes.io/token'
const GROUP = 'system:bootstrappers'
const EXTRA_GROUP = /^system:bootstrappers:[a-z0-9:-]{0,255}[a-z0-9]$/

export interface BootstrapTokenParts {
  readonly objects: ObjectReader
  readonly clock: Pick<Clock, 'now'>
  /** Audiences of this API server. */
  readonly ownAudiences: readonly string[]
}

/** Judges such tokens against the Secrets in memory; anything else is not its affair. */
export function createBootstrapTokens({ objects, clock, ownAudiences }: BootstrapTokenParts): TokenReviewer {
  return {
    async review(token, audiences) {
      const [, id, secret] = TOKEN.exec(token) ?? []
      if (id === undefined || secret === undefined) return null
      const object = objects.get('', 'secrets', NAMESPACE, `bootstrap-token-${id}`)
      const accepted = ownAudiences.filter(one => audiences.includes(one))
      if (object === null || accepted.length === 0 || !isGood(object, { id, secret, nowMs: clock.now() }))
        return null
      const extra = groupsOf(object)
      if (extra === null) return null
      const groups = [GROUP, ...extra, 'system:authenticated']
      return { valid: true, user: { username: `system:bootstrap:${id}`, groups }, audiences: accepted }
    },
  }
}

function text(object: KubeObject, key: string): string {
  const data = object['data'] as Readonly<Record<string, string>> | undefined
  return Buffer.from(data?.[key] ?? '', 'base64').toString('utf8')
}

function isGood(
  object: KubeObject,
  { id, secret, nowMs }: { readonly id: string; readonly secret: string; readonly nowMs: number },
): boolean {
  if (object['type'] !== SECRET_TYPE || object.metadata.deletionTimestamp !== undefined) return false
  if (text(object, 'token-id') !== id || !isEqual(text(object, 'token-secret'), secret)) return false
  if (text(object, 'usage-bootstrap-authentication') !== 'true') return false
  const expiration = text(object, 'expiration')
  // A time that cannot be read has passed.
  return expiration === '' || Date.parse(expiration) > nowMs
}

function isEqual(one: string, other: string): boolean {
  const [left, right] = [Buffer.from(one), Buffer.from(other)]
  return left.length === right.length && timingSafeEqual(left, right)
}

/** Null: one of them is none that a bootstrap token may give. */
function groupsOf(object: KubeObject): readonly string[] | null {
  const given = text(object, 'auth-extra-groups')
  const groups = [...new Set(given.split(',').filter(one => one !== ''))].sort()
  return groups.every(group => EXTRA_GROUP.test(group)) ? groups : null
}
