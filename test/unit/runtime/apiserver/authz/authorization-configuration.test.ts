/** An AuthorizationConfiguration: what is read of it, what is refused, and how its webhooks are asked. */
import assert from 'node:assert/strict'
import test from 'node:test'
import type { Mk8sError } from '../../../../../src/base/errors.ts'
import { withAuthorizationWebhooks } from '../../../../../src/runtime/apiserver/authn/remote-review.ts'
import { parseAuthorization } from '../../../../../src/runtime/apiserver/authz/authorization-configuration.ts'
import type { RequestAttributes } from '../../../../../src/runtime/apiserver/ports.ts'

const WEBHOOK = {
  timeout: '3s',
  subjectAccessReviewVersion: 'v1',
  failurePolicy: 'NoOpinion',
  connectionInfo: { type: 'KubeConfigFile', kubeConfigFile: '/etc/kubeconfig' },
}
const BUILT_IN = [
  { type: 'Node', name: 'node' },
  { type: 'RBAC', name: 'rbac' },
]

function parse(webhooks: readonly object[], before: readonly object[] = BUILT_IN) {
  const added = webhooks.map((webhook, at) => ({ type: 'Webhook', name: `w${at}`, webhook }))
  const authorizers = [...before, ...added]
  const kind = 'AuthorizationConfiguration'
  return parseAuthorization(
    JSON.stringify({ apiVersion: 'apiserver.config.k8s.io/v1', kind, authorizers }),
    '/authorization.yaml',
  )
}

const whyOf = (run: () => unknown): string => {
  try {
    run()
    return ''
  } catch (error) {
    return (error as Mk8sError).why ?? ''
  }
}

/** What webhooks with these answers are asked, and what comes of it, twice. */
async function ask(answers: readonly (object | null)[], settings: readonly object[], verb = 'get') {
  const asked: number[] = []
  const webhooks = parse(settings).map((webhook, at) => ({
    webhook,
    async post() {
      asked.push(at)
      const status = answers[at]
      if (!status) throw new Error('it is off')
      return { status } as never
    },
  }))
  const local = { authorize: () => ({ allowed: false, reason: '' }) }
  const authorizer = withAuthorizationWebhooks(local, webhooks, { now: () => 0 })
  const request: RequestAttributes = {
    ...{ user: { username: 'eve', groups: [] }, verb, isResource: true, path: '', group: '', version: 'v1' },
    ...{ resource: 'pods', subresource: '', namespace: '', name: '' },
  }
  const allowed = [await authorizer.authorize(request), await authorizer.authorize(request)]
  return { asked, allowed: allowed.map(one => one.allowed) }
}

test('answers are kept for the times that it says, or not at all', async () => {
  const [first, second] = parse([
    { ...WEBHOOK, authorizedTTL: '1m30s', unauthorizedTTL: '5s' },
    { ...WEBHOOK, cacheAuthorizedRequests: false },
  ])
  assert.deepEqual(
    [first?.authorizedTtlMs, first?.unauthorizedTtlMs, first?.timeoutMs],
    [90_000, 5_000, 3_000],
  )
  assert.deepEqual([second?.authorizedTtlMs, second?.unauthorizedTtlMs], [0, 30_000])
  const yes = { allowed: true }
  assert.deepEqual((await ask([yes], [WEBHOOK])).asked, [0])
  assert.deepEqual((await ask([yes], [{ ...WEBHOOK, cacheAuthorizedRequests: false }])).asked, [0, 0])
  assert.deepEqual((await ask([{}], [{ ...WEBHOOK, cacheUnauthorizedRequests: false }])).asked, [0, 0])
})

test('the next one is asked unless one denies, or fails where that means no', async () => {
  const yes = { allowed: true }
  assert.deepEqual(await ask([{}, yes], [WEBHOOK, WEBHOOK]), { asked: [0, 1], allowed: [true, true] })
  assert.deepEqual(await ask([{ denied: true }, yes], [WEBHOOK, WEBHOOK]), {
    asked: [0],
    allowed: [false, false],
  })
  assert.deepEqual((await ask([null, yes], [WEBHOOK, WEBHOOK])).allowed, [true, true])
  assert.deepEqual((await ask([null, yes], [{ ...WEBHOOK, failurePolicy: 'Deny' }, WEBHOOK])).allowed, [
    false,
    false,
  ])
})

test('a webhook is asked about what its conditions match only', async () => {
  const conditional = {
    ...WEBHOOK,
    matchConditionSubjectAccessReviewVersion: 'v1',
    matchConditions: [
      { expression: "has(request.resourceAttributes) && request.resourceAttributes.verb == 'get'" },
    ],
  }
  assert.deepEqual((await ask([{ allowed: true }], [conditional])).asked, [0])
  assert.deepEqual((await ask([{ allowed: true }], [conditional], 'list')).asked, [])
})

test('what cannot be used is refused, all of it at once', () => {
  const why = whyOf(() =>
    parse(
      [{ ...WEBHOOK, timeout: '1m', failurePolicy: 'Maybe', authorizedTTL: 'long', connectionInfo: {} }],
      [],
    ),
  )
  for (const part of [
    /begin with Node and RBAC/,
    /timeout/,
    /failurePolicy/,
    /authorizedTTL/,
    /connectionInfo.type/,
  ])
    assert.match(why, part)
  const matchConditions = [{ expression: 'request.' }]
  assert.match(
    whyOf(() => parse([{ ...WEBHOOK, matchConditions }])),
    /matchConditions\[0\].expression: Invalid value/,
  )
})
