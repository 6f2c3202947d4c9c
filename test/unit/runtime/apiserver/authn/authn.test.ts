/** Certificates, tokens and impersonation, with real keys and a clock that the test moves. */
import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import test from 'node:test'
import { systemRandom } from '../../../../../src/base/random.ts'
import { StatusError } from '../../../../../src/kube/status.ts'
import { createAuthenticator } from '../../../../../src/runtime/apiserver/authn/authn.ts'
import { impersonate } from '../../../../../src/runtime/apiserver/authn/impersonation.ts'
import { peekClaims } from '../../../../../src/runtime/apiserver/authn/jwt.ts'
import { createOidcDocuments } from '../../../../../src/runtime/apiserver/authn/oidc.ts'
import { createTokenIssuer } from '../../../../../src/runtime/apiserver/authn/service-account-tokens.ts'
import type { RequestAttributes } from '../../../../../src/runtime/apiserver/ports.ts'
import type { UserInfo } from '../../../../../src/runtime/apiserver/user.ts'
import { named, readerOf } from '../object-reader.ts'

const ISSUER = 'https://kubernetes.default.svc.cluster.local'

function setUp(type: 'ec' | 'rsa' = 'ec') {
  const pair =
    type === 'ec'
      ? generateKeyPairSync('ec', { namedCurve: 'P-256' })
      : generateKeyPairSync('rsa', { modulusLength: 2048 })
  const privateKey = pair.privateKey.export({ type: 'pkcs8', format: 'pem' }) as string
  const publicKey = pair.publicKey.export({ type: 'spki', format: 'pem' }) as string
  const store = {
    '/serviceaccounts': [named('ServiceAccount', 'builder', 'dev')],
    '/pods': [named('Pod', 'p', 'dev', { spec: { serviceAccountName: 'builder', nodeName: 'n1' } })],
    '/nodes': [named('Node', 'n1')],
  }
  const objects = readerOf(store)
  const clock = { time: 1_700_000_000_000, now: () => clock.time }
  const issuer = createTokenIssuer({
    issuer: ISSUER,
    privateKey: () => privateKey,
    clock,
    random: systemRandom,
  })
  const authenticator = createAuthenticator({
    serviceAccounts: { issuer: ISSUER, publicKeys: () => [publicKey] },
    objects,
    clock,
  })
  return { store, objects, clock, issuer, authenticator, publicKey }
}

const podRef = { apiVersion: 'v1', kind: 'Pod', name: 'p', uid: 'uid-p' }
const wish = (spec = {}) => ({ namespace: 'dev', name: 'builder', spec })

test('a certificate gives its common name and organizations', async () => {
  const { authenticator } = setUp()
  const certificate = { commonName: 'jane', organizations: ['dev'], sha256: 'abc' }
  const user = await authenticator.authenticate({ certificate })
  const extra = { 'authentication.kubernetes.io/credential-id': ['X509SHA256=abc'] }
  assert.deepEqual(user, { username: 'jane', groups: ['dev', 'system:authenticated'], extra })
})

test('no credentials are anonymous, a bad token is nobody', async () => {
  const { authenticator } = setUp()
  const anonymous = { username: 'system:anonymous', groups: ['system:unauthenticated'] }
  assert.deepEqual(await authenticator.authenticate({}), anonymous)
  assert.equal(await authenticator.authenticate({ bearerToken: 'a.b.c' }), null)
  assert.equal(await authenticator.authenticate({ bearerToken: '' }), null)
})

for (const type of ['ec', 'rsa'] as const) {
  test(`a pod's token signed with ${type} is its service account`, async () => {
    const { authenticator, issuer, objects } = setUp(type)
    const { token } = issuer.issue(wish({ boundObjectRef: podRef, expirationSeconds: 3607 }), objects)
    const user = await authenticator.authenticate({ bearerToken: token })
    assert.equal(user?.username, 'system:serviceaccount:dev:builder')
    assert.equal(user?.uid, 'uid-builder')
    assert.deepEqual(user?.groups, [
      'system:serviceaccounts',
      'system:serviceaccounts:dev',
      'system:authenticated',
    ])
    assert.deepEqual(user?.extra?.['authentication.kubernetes.io/pod-name'], ['p'])
    assert.deepEqual(user?.extra?.['authentication.kubernetes.io/node-name'], ['n1'])
  })
}

test('the default request of a kubelet is extended to a year and says when to warn', () => {
  const { issuer, objects } = setUp()
  const issued = issuer.issue(wish({ boundObjectRef: podRef, expirationSeconds: 3607 }), objects)
  const claims = peekClaims(issued.token) as {
    exp: number
    iat: number
    'kubernetes.io': { warnafter: number }
  }
  assert.equal(claims.exp - claims.iat, 31_536_000)
  assert.equal(claims['kubernetes.io'].warnafter - claims.iat, 3607)
  assert.equal(issued.expirationTimestamp, '2023-11-14T23:13:27Z')
})

test('a token ends with its time, its pod, its account, and with a changed byte', async () => {
  const { authenticator, issuer, objects, clock, store } = setUp()
  const { token } = issuer.issue(wish({ boundObjectRef: podRef, expirationSeconds: 600 }), objects)
  const works = async (bearerToken = token) => (await authenticator.authenticate({ bearerToken })) !== null
  assert.equal(await works(), true)
  assert.equal(await works(`${token.slice(0, -3)}AAA`), false)
  const pod = store['/pods'].pop()
  assert.equal(await works(), false)
  assert.match(JSON.stringify(authenticator.reviewToken(token)), /has been invalidated/)
  if (pod !== undefined) store['/pods'].push(pod)
  assert.equal(await works(), true)
  clock.time += 700_000
  assert.match(JSON.stringify(authenticator.reviewToken(token)), /has expired/)
  clock.time -= 700_000
  const account = store['/serviceaccounts'][0]
  if (account !== undefined) account.metadata.uid = 'another'
  assert.equal(await works(), false)
})

test('a token for another audience is refused here and accepted there', () => {
  const { authenticator, issuer, objects } = setUp()
  const { token } = issuer.issue(wish({ audiences: ['vault'] }), objects)
  assert.equal(authenticator.reviewToken(token).valid, false)
  assert.equal(authenticator.reviewToken(token, ['vault', 'x']).valid, true)
})

test('wishes that cannot be granted get the code that upstream gives', () => {
  const { issuer, objects } = setUp()
  const codeOf = (run: () => unknown): number => {
    try {
      run()
    } catch (error) {
      assert.ok(error instanceof StatusError)
      return error.code
    }
    return 0
  }
  assert.equal(
    codeOf(() => issuer.issue({ namespace: 'dev', name: 'x', spec: {} }, objects)),
    404,
  )
  assert.equal(
    codeOf(() => issuer.issue(wish({ expirationSeconds: 5 }), objects)),
    422,
  )
  const mismatch = { ...podRef, uid: 'other' }
  assert.equal(
    codeOf(() => issuer.issue(wish({ boundObjectRef: mismatch }), objects)),
    409,
  )
  assert.equal(
    codeOf(() => issuer.issue(wish({ boundObjectRef: { kind: 'Job', name: 'j' } }), objects)),
    400,
  )
})

test('the OIDC documents name the issuer and carry the key', () => {
  const { publicKey } = setUp()
  const documents = createOidcDocuments({
    issuer: ISSUER,
    jwksUri: 'https://x/openid/v1/jwks',
    publicKeys: () => [publicKey],
  })
  assert.equal(JSON.parse(documents.configuration()).issuer, ISSUER)
  const [key] = JSON.parse(documents.keys()).keys
  assert.deepEqual([key.kty, key.crv, key.alg, key.use], ['EC', 'P-256', 'ES256', 'sig'])
})

const SENDER = { username: 'admin', groups: [] }

const listOf = (user: UserInfo): RequestAttributes => ({
  ...{ user, verb: 'list', isResource: true, path: '', group: '', version: 'v1' },
  ...{ resource: 'pods', subresource: '', namespace: 'dev', name: '' },
})

/** What the sender comes to be with these rights, `verb resource[/subresource][.group] name` each, and what is asked. */
async function act(headers: Record<string, string>, rights: readonly string[], user: UserInfo = SENDER) {
  const asked: string[] = []
  const outcome = await impersonate(listOf(user), headers, one => {
    const full = [one.resource, ...(one.subresource === '' ? [] : [one.subresource])].join('/')
    const place = one.namespace === '' ? '' : `${one.namespace}/`
    const text = `${one.verb} ${full}${one.group === '' ? '' : '.auth'} ${place}${one.name}`.trim()
    asked.push(text)
    return { allowed: rights.includes(text) || rights.includes(`${one.verb} *`), reason: '' }
  })
  return { asked, outcome }
}

test('impersonation asks for each right and takes over name and groups', async () => {
  const headers = { 'impersonate-user': 'system:serviceaccount:dev:builder' }
  const { outcome, asked } = await act(headers, ['impersonate serviceaccounts dev/builder'])
  assert.ok(outcome.kind === 'user')
  assert.equal(outcome.user.username, 'system:serviceaccount:dev:builder')
  assert.equal(outcome.constraint, undefined)
  assert.ok(outcome.user.groups.includes('system:serviceaccounts:dev'))
  assert.deepEqual(asked, [
    'impersonate-on:serviceaccount:list pods dev/',
    'impersonate serviceaccounts dev/builder',
  ])
  const greedy = { 'impersonate-user': 'x', 'impersonate-group': 'dev\nsystem:masters' }
  const refused = await act(greedy, ['impersonate users x', 'impersonate groups dev'])
  assert.ok(refused.outcome.kind === 'forbidden')
  assert.equal(refused.outcome.attributes.verb, 'impersonate-on:user-info:list')
  assert.equal(refused.asked.at(-1), 'impersonate groups system:masters')
  const nameless = (await act({ 'impersonate-group': 'dev' }, [])).outcome
  assert.deepEqual(nameless, {
    kind: 'invalid',
    message:
      'requested &user.DefaultInfo{Name:"", UID:"", Groups:[]string{"dev"}, Extra:map[string][]string(nil)} without impersonating a user name',
  })
  assert.deepEqual((await act({}, [])).outcome, { kind: 'user', user: SENDER })
})

test('constrained impersonation needs the right to the user and to what is done as that user', async () => {
  const on = 'impersonate-on:user-info:list pods dev/'
  const headers = {
    'impersonate-user': 'CN=ann,O=dev',
    'impersonate-uid': 'u1',
    'impersonate-group': 'a, b',
    'impersonate-extra-example.com%2fscopes': 'cn=x,dc=y\nview',
  }
  const verb = 'impersonate:user-info'
  const rights = [
    ...[on, `${verb} users.auth CN=ann,O=dev`, `${verb} uids.auth u1`, `${verb} groups.auth a, b`],
    ...['cn=x,dc=y', 'view'].map(value => `${verb} userextras/example.com/scopes.auth ${value}`),
  ]
  const { outcome, asked } = await act(headers, rights)
  assert.deepEqual(asked, rights)
  assert.deepEqual(outcome, {
    kind: 'user',
    user: {
      ...{ username: 'CN=ann,O=dev', uid: 'u1', groups: ['a, b', 'system:authenticated'] },
      extra: { 'example.com/scopes': ['cn=x,dc=y', 'view'] },
    },
    constraint: verb,
  })
  const [, ...identity] = rights
  assert.equal((await act(headers, identity)).outcome.kind, 'forbidden')
  const masters = { 'impersonate-user': 'x', 'impersonate-group': 'system:masters' }
  const refused = (await act(masters, [on, `${verb} *`])).outcome
  assert.ok(refused.kind === 'forbidden')
  assert.equal(refused.reason, 'impersonating the system:masters group is not allowed')
  const many = { 'impersonate-user': 'x', 'impersonate-group': 'a\nb\nc\nd' }
  const all = [on, `${verb} users.auth x`, `${verb} groups.auth *`]
  assert.deepEqual((await act(many, all)).asked, all)
  const odd = { 'impersonate-user': 'x', 'impersonate-extra-scopes': 'view' }
  const invalid = (await act(odd, [on, `${verb} *`])).outcome
  assert.ok(invalid.kind === 'forbidden')
  assert.match(invalid.reason, /^impersonating an invalid key in extra is not allowed: extra.key: Invalid/)
})

test('a pod may be given its own node, whichever that is, and others only any', async () => {
  const pod = {
    ...{ username: 'system:serviceaccount:kube-system:agent', groups: [] },
    extra: { 'authentication.kubernetes.io/node-name': ['n1'] },
  }
  const own = ['impersonate-on:associated-node:list pods dev/', 'impersonate:associated-node nodes.auth *']
  const { outcome } = await act({ 'impersonate-user': 'system:node:n1' }, own, pod)
  assert.deepEqual(outcome, {
    kind: 'user',
    user: { username: 'system:node:n1', groups: ['system:nodes', 'system:authenticated'] },
    constraint: 'impersonate:associated-node',
  })
  const other = await act({ 'impersonate-user': 'system:node:n2' }, own, pod)
  assert.equal(other.outcome.kind, 'forbidden')
  assert.deepEqual(other.asked, [
    'impersonate-on:arbitrary-node:list pods dev/',
    'impersonate users system:node:n2',
  ])
  const grouped = { 'impersonate-user': 'system:node:n1', 'impersonate-group': 'x' }
  assert.deepEqual((await act(grouped, own, pod)).asked, ['impersonate users system:node:n1'])
})
