/** Tokens of other issuers and webhooks, against real HTTPS servers on loopback. */
import assert from 'node:assert/strict'
import { createPublicKey, generateKeyPairSync } from 'node:crypto'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import test, { type TestContext } from 'node:test'
import { systemRandom } from '../../../../../src/base/random.ts'
import { parseAuthentication } from '../../../../../src/runtime/apiserver/authn/authentication-configuration.ts'
import { readSigningKey, signJwt } from '../../../../../src/runtime/apiserver/authn/jwt.ts'
import { createJwtIssuers } from '../../../../../src/runtime/apiserver/authn/jwt-issuers.ts'
import {
  createTokenWebhook,
  fetchJson,
  reviewerAt,
} from '../../../../../src/runtime/apiserver/authn/remote-review.ts'
import { plainWebhook } from '../../../../../src/runtime/apiserver/authz/authorization-configuration.ts'
import { orderedAuthorizer } from '../../../../../src/runtime/apiserver/authz/ordered.ts'
import type { RequestAttributes } from '../../../../../src/runtime/apiserver/ports.ts'
import type { LeafPlan } from '../../../../../src/runtime/pki/authorities.ts'
import { generateKey, issueAuthority, issueLeaf } from '../../../../../src/runtime/pki/issue.ts'
import { validityFrom } from '../../../../../src/runtime/pki/validity.ts'

const NOW = Date.now()
const clock = { now: () => NOW }

type Answer = (path: string, body: string) => unknown

async function serve(t: TestContext, answer: Answer) {
  const validity = validityFrom(NOW, 1)
  const authority = await issueAuthority('test', validity, systemRandom)
  const key = generateKey()
  const plan: LeafPlan = {
    ...{ name: 'apiserver', authority: 'cluster-ca', commonName: 'x', usages: ['server'] },
    ...{ dnsNames: [], ipAddresses: ['127.0.0.1'], uris: [] },
  }
  const cert = await issueLeaf(plan, { authority, key, validity, random: systemRandom })
  const asked: string[] = []
  const server = createServer({ cert, key }, (request, response) => {
    let body = ''
    request.on('data', chunk => (body += chunk))
    request.on('end', () => {
      asked.push(request.url ?? '')
      response.end(JSON.stringify(answer(request.url ?? '', body)))
    })
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  t.after(() => {
    server.closeAllConnections()
    server.close()
  })
  const url = `https://127.0.0.1:${(server.address() as AddressInfo).port}`
  return { url, ca: authority.certificate, asked }
}

async function issuerWith(t: TestContext, mappings: object, more: object = {}) {
  const pem = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export({
    type: 'pkcs8',
    format: 'pem',
  })
  const signer = readSigningKey(String(pem))
  const jwk = createPublicKey(String(pem)).export({ format: 'jwk' })
  const issuer: Awaited<ReturnType<typeof serve>> = await serve(t, path =>
    path === '/keys'
      ? { keys: [{ ...jwk, kid: signer.keyId, use: 'sig' }] }
      : { issuer: issuer.url, jwks_uri: `${issuer.url}/keys` },
  )
  const configuration = {
    apiVersion: 'apiserver.config.k8s.io/v1',
    kind: 'AuthenticationConfiguration',
    jwt: [
      {
        issuer: { url: issuer.url, certificateAuthority: issuer.ca, audiences: ['me'] },
        claimMappings: mappings,
        ...more,
      },
    ],
  }
  const { issuers } = parseAuthentication(JSON.stringify(configuration), 'file')
  const reviewer = createJwtIssuers({ issuers, ownAudiences: ['api'], fetchJson, clock })
  const good = { iss: issuer.url, aud: 'me', exp: NOW / 1000 + 60, sub: 'ann', groups: ['a', 'b'], level: 3 }
  const review = (over: object = {}, key = signer) =>
    reviewer.review(signJwt({ ...good, ...over }, key), ['api'])
  return { review, issuer }
}

const plain = { username: { claim: 'sub', prefix: 'oidc:' }, groups: { claim: 'groups', prefix: 'oidc:' } }

test('a token is checked with the keys that the issuer publishes, fetched once, and claims make the user', async t => {
  const { review, issuer } = await issuerWith(t, plain)
  const expected = {
    valid: true,
    user: { username: 'oidc:ann', groups: ['oidc:a', 'oidc:b', 'system:authenticated'] },
    audiences: ['api'],
  }
  assert.deepEqual(await review(), expected)
  assert.deepEqual(await review(), expected)
  assert.deepEqual(issuer.asked, ['/.well-known/openid-configuration', '/keys'])
})

test('a token of another key, audience, time or issuer is none', async t => {
  const { review } = await issuerWith(t, plain)
  const reasonOf = async (result: ReturnType<typeof review>) => {
    const verdict = await result
    return verdict === null || verdict.valid ? verdict : verdict.reason
  }
  assert.match(
    String(await reasonOf(review({}, readSigningKey(generateKey())))),
    /failed to verify signature/,
  )
  assert.match(String(await reasonOf(review({ aud: ['you'] }))), /expected audience/)
  assert.match(String(await reasonOf(review({ exp: NOW / 1000 - 60 }))), /token is expired/)
  assert.match(String(await reasonOf(review({ nbf: NOW / 1000 + 60 }))), /not before/)
  assert.equal(await reasonOf(review({ iss: 'https://else' })), null)
})

test('expressions map claims and refuse what does not hold', async t => {
  const mappings = {
    username: { expression: "claims.sub + '@x'" },
    groups: { expression: "claims.groups.filter(g, g != 'a')" },
    uid: { expression: "'u-' + claims.sub" },
    extra: [{ key: 'example.com/level', valueExpression: 'string(claims.level)' }],
  }
  const { review } = await issuerWith(t, mappings, {
    claimValidationRules: [{ expression: 'claims.level > 2', message: 'the level is too low' }],
    userValidationRules: [{ expression: "!user.username.startsWith('system:')", message: 'reserved' }],
  })
  const verdict = await review()
  assert.deepEqual(verdict?.valid && verdict.user, {
    username: 'ann@x',
    uid: 'u-ann',
    groups: ['b', 'system:authenticated'],
    extra: { 'example.com/level': ['3'] },
  })
  assert.match(JSON.stringify(await review({ level: 1 })), /the level is too low/)
  assert.match(JSON.stringify(await review({ sub: 'system:x' })), /reserved/)
})

test('a configuration that cannot be meant is refused with every reason', () => {
  const parse = (jwt: object) =>
    parseAuthentication(
      JSON.stringify({
        apiVersion: 'apiserver.config.k8s.io/v1',
        kind: 'AuthenticationConfiguration',
        jwt: [jwt],
      }),
      'file',
    )
  const why = /scheme must be https[\s\S]*audiences: Required[\s\S]*compilation failed/
  const issuer = { url: 'http://x' }
  assert.throws(() => parse({ issuer, claimMappings: { username: { expression: 'nothing.x' } } }), { why })
})

const kubeconfig = ({ url, ca }: { url: string; ca: string }) =>
  JSON.stringify({
    'current-context': 'c',
    contexts: [{ name: 'c', context: { cluster: 'k', user: 'u' } }],
    clusters: [
      {
        name: 'k',
        cluster: { server: url, 'certificate-authority-data': Buffer.from(ca).toString('base64') },
      },
    ],
    users: [{ name: 'u', user: {} }],
  })
const reviewerOf = (server: { url: string; ca: string }) => reviewerAt(kubeconfig(server), 'file', String)

test('a webhook is asked about a token, and its answer is kept', async t => {
  const server = await serve(t, (_path, body) => {
    const { token } = (JSON.parse(body) as { spec: { token: string } }).spec
    return {
      status: token === 'good' ? { authenticated: true, user: { username: 'bob' } } : { error: 'who?' },
    }
  })
  const webhook = createTokenWebhook(reviewerOf(server), clock, 60_000)
  for (let at = 0; at < 2; at += 1)
    assert.deepEqual(await webhook.review('good', ['api']), {
      valid: true,
      user: { username: 'bob', groups: ['system:authenticated'] },
      audiences: ['api'],
    })
  assert.deepEqual(await webhook.review('bad', ['api']), { valid: false, reason: 'who?' })
  assert.equal(server.asked.length, 2)
})

test('a webhook may allow what nobody here does; one that cannot be reached has no say', async t => {
  const server = await serve(t, (_path, body) => {
    const { user } = (JSON.parse(body) as { spec: { user: string } }).spec
    return { status: { allowed: user === 'bob', reason: `about ${user}` } }
  })
  const parts = {
    Node: () => ({ allowed: false, reason: '' }),
    RBAC: () => ({ allowed: false, reason: 'not here' }),
  }
  const local = { parts, rulesFor: () => ({ rules: [], problems: [] }) }
  const plain = plainWebhook('/kubeconfig', { authorizedTtlMs: 60_000, unauthorizedTtlMs: 60_000 })
  const attributes = (username: string): RequestAttributes => ({
    ...{ user: { username, groups: [] }, verb: 'get', isResource: true, path: '', group: '', version: 'v1' },
    ...{ resource: 'pods', subresource: '', namespace: 'default', name: 'a' },
  })
  const webhook = orderedAuthorizer(local, ['RBAC', { post: reviewerOf(server), webhook: plain }], clock)
  assert.deepEqual(await webhook.authorize(attributes('bob')), { allowed: true, reason: 'about bob' })
  assert.deepEqual(await webhook.authorize(attributes('bob')), { allowed: true, reason: 'about bob' })
  assert.deepEqual(await webhook.authorize(attributes('eve')), {
    allowed: false,
    reason: 'not here\nabout eve',
  })
  assert.equal(server.asked.length, 2)
  const post = reviewerOf({ ...server, url: 'https://127.0.0.1:1' })
  const gone = orderedAuthorizer(local, ['RBAC', { post, webhook: plain }], clock)
  const { error = '', ...refused } = await gone.authorize(attributes('bob'))
  assert.deepEqual(refused, { allowed: false, reason: 'not here' })
  assert.match(error, /127.0.0.1:1 cannot be reached/)
})
