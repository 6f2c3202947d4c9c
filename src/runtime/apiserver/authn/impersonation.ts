/** Acting as somebody else: which rights the Impersonate headers ask for, and who the request then comes from. */
import type { Authorizer, RequestAttributes } from '../ports.ts'
import type { UserInfo } from '../user.ts'
import { withAuthenticated } from './authn.ts'
import { serviceAccountGroups } from './service-account-claims.ts'

export type ImpersonationOutcome =
  /** No such headers, or all of them allowed: go on as this user. */
  | { readonly kind: 'user'; readonly user: UserInfo }
  /** 403 with these attributes. */
  | { readonly kind: 'forbidden'; readonly attributes: RequestAttributes; readonly reason: string }
  /** Headers that make no sense: 400. */
  | { readonly kind: 'invalid'; readonly message: string }

/** Lower-case names; a repeated header is a list, or one string joined by commas. */
export type RequestHeaders = Readonly<Record<string, string | readonly string[] | undefined>>

interface Wanted {
  readonly username: string
  readonly uid: string
  readonly groups: readonly string[]
  readonly extra: Readonly<Record<string, readonly string[]>>
}

const EXTRA_PREFIX = 'impersonate-extra-'
const ANONYMOUS_NAME = 'system:anonymous'

/** Decides who the request comes from; each impersonated thing needs the verb `impersonate`. */
export async function impersonate(
  user: UserInfo,
  headers: RequestHeaders,
  authorize: Authorizer['authorize'],
): Promise<ImpersonationOutcome> {
  const wanted = parseHeaders(headers)
  if (wanted === null) return { kind: 'user', user }
  if (wanted.username === '') {
    return { kind: 'invalid', message: 'groups, uid and extra can be impersonated only along with a user' }
  }
  for (const attributes of rightsFor(user, wanted)) {
    const decision = await authorize(attributes)
    if (!decision.allowed) return { kind: 'forbidden', attributes, reason: decision.reason }
  }
  return { kind: 'user', user: becomeUser(wanted) }
}

function parseHeaders(headers: RequestHeaders): Wanted | null {
  const extra: Record<string, readonly string[]> = {}
  for (const name of Object.keys(headers)) {
    if (!name.startsWith(EXTRA_PREFIX)) continue
    extra[decodeKey(name.slice(EXTRA_PREFIX.length))] = valuesOf(headers[name])
  }
  const username = valuesOf(headers['impersonate-user'])[0] ?? ''
  const uid = valuesOf(headers['impersonate-uid'])[0] ?? ''
  const groups = valuesOf(headers['impersonate-group'])
  const nothing = username === '' && uid === '' && groups.length === 0 && Object.keys(extra).length === 0
  return nothing ? null : { username, uid, groups, extra }
}

function rightsFor(user: UserInfo, wanted: Wanted): readonly RequestAttributes[] {
  const right = (over: Partial<RequestAttributes>): RequestAttributes => ({
    user,
    verb: 'impersonate',
    isResource: true,
    path: '',
    group: '',
    version: 'v1',
    resource: '',
    subresource: '',
    namespace: '',
    name: '',
    ...over,
  })
  const account = parseServiceAccount(wanted.username)
  const group = 'authentication.k8s.io'
  return [
    account === null
      ? right({ resource: 'users', name: wanted.username })
      : right({ resource: 'serviceaccounts', ...account }),
    ...(wanted.uid === '' ? [] : [right({ group, resource: 'uids', name: wanted.uid })]),
    ...wanted.groups.map(name => right({ resource: 'groups', name })),
    ...Object.entries(wanted.extra).flatMap(([subresource, values]) =>
      values.map(name => right({ group, resource: 'userextras', subresource, name })),
    ),
  ]
}

function becomeUser(wanted: Wanted): UserInfo {
  const account = parseServiceAccount(wanted.username)
  const implied = account === null || wanted.groups.length > 0 ? [] : serviceAccountGroups(account.namespace)
  const groups = [...implied, ...wanted.groups]
  const { username, extra } = wanted
  return {
    username,
    ...(wanted.uid === '' ? {} : { uid: wanted.uid }),
    groups: username === ANONYMOUS_NAME ? anonymousGroups(groups) : authenticatedGroups(groups),
    ...(Object.keys(extra).length === 0 ? {} : { extra }),
  }
}

const anonymousGroups = (groups: readonly string[]): readonly string[] =>
  groups.includes('system:unauthenticated') ? groups : [...groups, 'system:unauthenticated']

const authenticatedGroups = (groups: readonly string[]): readonly string[] =>
  groups.includes('system:unauthenticated') ? groups : withAuthenticated(groups)

/** The parts of `system:serviceaccount:NAMESPACE:NAME`, or null. */
export function parseServiceAccount(username: string): { namespace: string; name: string } | null {
  const [system, kind, namespace, name, ...rest] = username.split(':')
  if (system !== 'system' || kind !== 'serviceaccount' || rest.length > 0) return null
  return namespace && name ? { namespace, name } : null
}

function valuesOf(header: string | readonly string[] | undefined): readonly string[] {
  if (header === undefined) return []
  const values = typeof header === 'string' ? header.split(',') : header
  return values.map(value => value.trim()).filter(value => value !== '')
}

function decodeKey(key: string): string {
  try {
    return decodeURIComponent(key)
  } catch {
    return key
  }
}
