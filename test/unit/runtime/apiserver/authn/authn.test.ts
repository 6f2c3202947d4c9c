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
  const certificate = { commonName: 'jane', organizations: ['dev'] }
  const user = await authenticator.authenticate({ certificate })
  assert.deepEqual(user, { username: 'jane', groups: ['dev', 'system:authenticated'] })
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

test('impersonation asks for each right and takes over name and groups', async () => {
  const asked: RequestAttributes[] = []
  const allow = (attributes: RequestAttributes) => {
    asked.push(attributes)
    return { allowed: attributes.name !== 'system:masters', reason: '' }
  }
  const admin = { username: 'admin', groups: [] }
  const headers = { 'impersonate-user': 'system:serviceaccount:dev:builder' }
  const outcome = await impersonate(admin, headers, allow)
  assert.ok(outcome.kind === 'user')
  assert.equal(outcome.user.username, 'system:serviceaccount:dev:builder')
  assert.ok(outcome.user.groups.includes('system:serviceaccounts:dev'))
  assert.deepEqual(
    [asked[0]?.resource, asked[0]?.namespace, asked[0]?.name],
    ['serviceaccounts', 'dev', 'builder'],
  )
  const greedy = { 'impersonate-user': 'x', 'impersonate-group': ['dev', 'system:masters'] }
  assert.equal((await impersonate(admin, greedy, allow)).kind, 'forbidden')
  assert.equal((await impersonate(admin, { 'impersonate-group': 'dev' }, allow)).kind, 'invalid')
  assert.deepEqual(await impersonate(admin, {}, allow), { kind: 'user', user: admin })
})
