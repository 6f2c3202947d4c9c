/**
 * Acting as somebody else (KEP-5284): who the Impersonate headers ask for, and whether the sender may. The constrained
 * modes come first, whose rights hold for what is done as that user too; then the plain verb `impersonate`.
 */
import { checkDns1123Subdomain, checkDomainPrefixedPath } from '../../../kube/names.ts'
import type { Authorizer, RequestAttributes } from '../ports.ts'
import type { UserInfo } from '../user.ts'
import { withAuthenticated } from './authn.ts'
import { serviceAccountGroups } from './service-account-claims.ts'

export type ImpersonationOutcome =
  /** Go on as this user; `constraint` is the verb of the constrained mode that allowed it. */
  | { readonly kind: 'user'; readonly user: UserInfo; readonly constraint?: string }
  /** 403 with these attributes. */
  | { readonly kind: 'forbidden'; readonly attributes: RequestAttributes; readonly reason: string }
  /** Headers that make no sense: 400. */
  | { readonly kind: 'invalid'; readonly message: string }

/** Lower-case names; a repeated header is one string joined by line feeds, which no value has. */
export type RequestHeaders = Readonly<Record<string, string | undefined>>

interface Wanted {
  readonly username: string
  readonly uid: string
  readonly groups: readonly string[]
  readonly extra: Readonly<Record<string, readonly string[]>>
}

type Refusal = Extract<ImpersonationOutcome, { kind: 'forbidden' }>

const PREFIX = 'impersonate-'
const EXTRA_PREFIX = `${PREFIX}extra-`
const ANONYMOUS_NAME = 'system:anonymous'
const NODE_PREFIX = 'system:node:'
const NODE_NAME = 'authentication.kubernetes.io/node-name'
const NODE_KEYS = 'authentication.kubernetes.io/associated-node-keys'
const GROUP = 'authentication.k8s.io'
/** From so many groups or extra values on, the right to all of them is asked for first. */
const MANY = 4

export const wantsImpersonation = (headers: RequestHeaders): boolean =>
  Object.keys(headers).some(name => name.startsWith(PREFIX))

/** Nobody behind this is to know that somebody acts as somebody else. */
export const withoutImpersonation = (headers: Readonly<Record<string, string>>): Record<string, string> =>
  Object.fromEntries(Object.entries(headers).filter(([name]) => !name.startsWith(PREFIX)))

/** `asked` is what the sender wants to do as that user. */
export async function impersonate(
  asked: RequestAttributes,
  headers: RequestHeaders,
  authorize: Authorizer['authorize'],
): Promise<ImpersonationOutcome> {
  const wanted = parseHeaders(headers)
  if (wanted === null) return { kind: 'user', user: asked.user }
  if (wanted.username === '')
    return { kind: 'invalid', message: `requested ${shown(wanted)} without impersonating a user name` }
  let first: Refusal | null = null
  for (const mode of modesOf(asked.user, wanted)) {
    const refusal = await refusalOf([doing(asked, mode), ...rightsFor(asked.user, wanted, mode)], authorize)
    if (refusal === null) {
      return { kind: 'user', user: constrainedUser(wanted), constraint: `impersonate:${mode}` }
    }
    first ??= refusal
  }
  const refusal = await refusalOf(plainRights(asked.user, wanted), authorize)
  return refusal === null ? { kind: 'user', user: becomeUser(wanted) } : (first ?? refusal)
}

function parseHeaders(headers: RequestHeaders): Wanted | null {
  const extra: Record<string, readonly string[]> = {}
  for (const name of Object.keys(headers)) {
    if (name.startsWith(EXTRA_PREFIX))
      extra[decodeKey(name.slice(EXTRA_PREFIX.length))] = valuesOf(headers[name])
  }
  const username = valuesOf(headers['impersonate-user'])[0] ?? ''
  const uid = valuesOf(headers['impersonate-uid'])[0] ?? ''
  const groups = valuesOf(headers['impersonate-group'])
  const nothing = username === '' && uid === '' && groups.length === 0 && Object.keys(extra).length === 0
  return nothing ? null : { username, uid, groups, extra }
}

const valuesOf = (header: string | undefined): readonly string[] =>
  header === undefined ? [] : header.split('\n').map(value => value.trim())

function decodeKey(key: string): string {
  try {
    return decodeURIComponent(key)
  } catch {
    return key
  }
}

/** As Go's %#v has it, which is in the answer. */
function shown({ username, uid, groups, extra }: Wanted): string {
  const texts = (all: readonly string[]) => `[]string{${all.map(one => JSON.stringify(one)).join(', ')}}`
  const list = groups.length === 0 ? '[]string(nil)' : texts(groups)
  const pairs = Object.entries(extra).map(([key, values]) => `${JSON.stringify(key)}:${texts(values)}`)
  const map = `map[string][]string${pairs.length === 0 ? '(nil)' : `{${pairs.join(', ')}}`}`
  const fields = `Name:${JSON.stringify(username)}, UID:${JSON.stringify(uid)}, Groups:${list}, Extra:${map}`
  return `&user.DefaultInfo{${fields}}`
}

type Mode = 'associated-node' | 'arbitrary-node' | 'serviceaccount' | 'user-info'

/** Only the last of them takes more than a name. */
function modesOf(sender: UserInfo, { username, uid, groups, extra }: Wanted): readonly Mode[] {
  const isOnlyName = uid === '' && groups.length === 0 && Object.keys(extra).length === 0
  const node = nodeOf(username)
  if (node !== null) {
    if (!isOnlyName) return []
    const ownNodes = sender.extra?.[NODE_NAME] ?? []
    const isAssociated =
      parseServiceAccount(sender.username) !== null && ownNodes.length === 1 && ownNodes[0] === node
    return isAssociated ? ['associated-node', 'arbitrary-node'] : ['arbitrary-node']
  }
  if (parseServiceAccount(username) !== null) return isOnlyName ? ['serviceaccount'] : []
  return ['user-info']
}

function nodeOf(username: string): string | null {
  if (!username.startsWith(NODE_PREFIX)) return null
  const name = username.slice(NODE_PREFIX.length)
  return checkDns1123Subdomain(name).length === 0 ? name : null
}

/** Rights of which every one is needed; a list of them is one where the first suffices, or else all others. */
type Right =
  | RequestAttributes
  | { readonly either: RequestAttributes; readonly or: readonly RequestAttributes[] }
type Needed = Right | Refusal

async function refusalOf(
  needed: readonly Needed[],
  authorize: Authorizer['authorize'],
): Promise<Refusal | null> {
  for (const one of needed) {
    if ('kind' in one) return one
    if ('either' in one) {
      if ((await authorize(one.either)).allowed) continue
      const refusal = await refusalOf(one.or, authorize)
      if (refusal !== null) return refusal
      continue
    }
    const { allowed, reason, error } = await authorize(one)
    if (allowed) continue
    const why = [error ?? '', reason].filter(text => text !== '').join(': ')
    return { kind: 'forbidden', attributes: one, reason: why }
  }
  return null
}

/** That this may be done as whoever is impersonated in the mode. */
const doing = (asked: RequestAttributes, mode: Mode): RequestAttributes => ({
  ...asked,
  user: senderIn(mode, asked.user),
  verb: `impersonate-on:${mode}:${asked.verb}`,
})

/** A pod's rights to its node are those of its service account on any node. */
const senderIn = (mode: Mode, sender: UserInfo): UserInfo =>
  mode === 'associated-node'
    ? { ...sender, extra: { [NODE_KEYS]: Object.keys(sender.extra ?? {}).sort() } }
    : sender

const right = (user: UserInfo, verb: string, over: Partial<RequestAttributes>): RequestAttributes => ({
  ...{ user, verb, isResource: true, path: '', group: GROUP, version: 'v1' },
  ...{ resource: '', subresource: '', namespace: '', name: '' },
  ...over,
})

function rightsFor(sender: UserInfo, wanted: Wanted, mode: Mode): readonly Needed[] {
  const { username, uid } = wanted
  const user = senderIn(mode, sender)
  const verb = `impersonate:${mode}`
  const of = (over: Partial<RequestAttributes>) => right(user, verb, over)
  const account = parseServiceAccount(username)
  const node = nodeOf(username)
  if (node !== null) return [of({ resource: 'nodes', name: mode === 'associated-node' ? '*' : node })]
  if (account !== null) return [of({ resource: 'serviceaccounts', ...account })]
  return [
    of({ resource: 'users', name: username }),
    ...(uid === '' ? [] : [of({ resource: 'uids', name: uid })]),
    ...groupRights(wanted, of),
    ...extraRights(wanted, of),
  ]
}

type Of = (over: Partial<RequestAttributes>) => RequestAttributes

const never = (attributes: RequestAttributes, what: string): Refusal => ({
  kind: 'forbidden',
  attributes,
  reason: `impersonating ${what} is not allowed`,
})

function groupRights({ groups }: Wanted, of: Of): readonly Needed[] {
  const resource = 'groups'
  if (groups.includes('')) return [never(of({ resource }), 'the empty string group')]
  if (groups.includes('system:masters'))
    return [never(of({ resource, name: 'system:masters' }), 'the system:masters group')]
  return manyOr(
    of({ resource, name: '*' }),
    groups.map(name => of({ resource, name })),
  )
}

function extraRights({ extra }: Wanted, of: Of): readonly Needed[] {
  const resource = 'userextras'
  for (const [key, values] of Object.entries(extra)) {
    const problem = extraProblem(key, values)
    if (problem !== null) return [{ ...never(of({ resource }), ''), reason: problem }]
  }
  return manyOr(
    of({ resource, subresource: '*', name: '*' }),
    Object.entries(extra).flatMap(([subresource, values]) =>
      values.map(name => of({ resource, subresource, name })),
    ),
  )
}

function extraProblem(key: string, values: readonly string[]): string | null {
  if (key === '') return 'impersonating the empty string key in extra is not allowed'
  const [problem] = checkDomainPrefixedPath(key)
  if (problem !== undefined) {
    const why = `extra.key: Invalid value: ${JSON.stringify(problem.part)}: ${problem.problem}`
    return `impersonating an invalid key in extra is not allowed: ${why}`
  }
  if (key !== key.toLowerCase())
    return `impersonating a non-lowercase key in extra is not allowed: ${JSON.stringify(key)}`
  return values.includes('') ? 'impersonating the empty string value in extra is not allowed' : null
}

const manyOr = (either: RequestAttributes, or: readonly RequestAttributes[]): readonly Right[] =>
  or.length >= MANY ? [{ either, or }] : or

function plainRights(user: UserInfo, wanted: Wanted): readonly RequestAttributes[] {
  const of = (over: Partial<RequestAttributes>) => right(user, 'impersonate', over)
  const account = parseServiceAccount(wanted.username)
  return [
    account === null
      ? of({ group: '', resource: 'users', name: wanted.username })
      : of({ group: '', resource: 'serviceaccounts', ...account }),
    ...(wanted.uid === '' ? [] : [of({ resource: 'uids', name: wanted.uid })]),
    ...wanted.groups.map(name => of({ group: '', resource: 'groups', name })),
    ...Object.entries(wanted.extra).flatMap(([subresource, values]) =>
      values.map(name => of({ resource: 'userextras', subresource, name })),
    ),
  ]
}

/** A node's groups are known. */
const constrainedUser = (wanted: Wanted): UserInfo =>
  becomeUser(nodeOf(wanted.username) === null ? wanted : { ...wanted, groups: ['system:nodes'] })

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
