/** An AuthorizationConfiguration: what is read of it, what is refused, and how its webhooks are asked. */
import assert from 'node:assert/strict'
import test from 'node:test'
import type { Mk8sError } from '../../../../../src/base/errors.ts'
import {
  type AuthorizationWebhook,
  parseAuthorization,
} from '../../../../../src/runtime/apiserver/authz/authorization-configuration.ts'
import { orderedAuthorizer } from '../../../../../src/runtime/apiserver/authz/ordered.ts'
import type { Decision, RequestAttributes } from '../../../../../src/runtime/apiserver/ports.ts'

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

const webhooksOf = (settings: readonly object[]) =>
  parse(settings).filter((one): one is AuthorizationWebhook => typeof one === 'object')

/** Where nobody here allows anything, but for RBAC what it is told to. */
const localOf = (rbac: Decision = { allowed: false, reason: '' }) => ({
  parts: { Node: () => ({ allowed: false, reason: '' }), RBAC: () => rbac },
  rulesFor: () => ({ rules: [], problems: [] }),
})

const requestOf = (verb: string, groups: readonly string[] = []): RequestAttributes => ({
  ...{ user: { username: 'eve', groups }, verb, isResource: true, path: '', group: '', version: 'v1' },
  ...{ resource: 'pods', subresource: '', namespace: '', name: '' },
})

/** What webhooks with these answers are asked, and what comes of it, twice. */
async function ask(answers: readonly (object | null)[], settings: readonly object[], verb = 'get') {
  const asked: number[] = []
  const webhooks = webhooksOf(settings).map((webhook, at) => ({
    webhook,
    async post() {
      asked.push(at)
      const status = answers[at]
      if (!status) throw new Error('it is off')
      return { status } as never
    },
  }))
  const authorizer = orderedAuthorizer(localOf(), ['Node', 'RBAC', ...webhooks], { now: () => 0 })
  const request = requestOf(verb)
  const allowed = [await authorizer.authorize(request), await authorizer.authorize(request)]
  return { asked, allowed: allowed.map(one => one.allowed) }
}

test('answers are kept for the times that it says, or not at all', async () => {
  const [first, second] = webhooksOf([
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
    /Required value: Node has to be/,
    /Required value: RBAC has to be/,
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

test('the order is that of the configuration, and a webhook that denies before RBAC has the last word', async () => {
  const [node, rbac] = BUILT_IN
  const hook = { type: 'Webhook', name: 'first', webhook: WEBHOOK }
  const [first, ...others] = parse([], [hook, rbac ?? {}, node ?? {}])
  assert.equal(typeof first, 'object')
  assert.deepEqual(others, ['RBAC', 'Node'])
  const decide = async (
    status: object | null,
    groups: readonly string[] = [],
    failurePolicy = 'NoOpinion',
  ) => {
    const [webhook] = webhooksOf([{ ...WEBHOOK, failurePolicy }])
    const post = async () => {
      if (status === null) throw new Error('it is off')
      return { status } as never
    }
    const steps = [{ webhook: webhook ?? assert.fail(), post }, 'RBAC', 'Node'] as const
    const local = localOf({ allowed: true, reason: 'by a role' })
    return await orderedAuthorizer(local, steps, { now: () => 0 }).authorize(requestOf('get', groups))
  }
  assert.deepEqual(await decide({ allowed: true, reason: 'hook' }), { allowed: true, reason: 'hook' })
  assert.deepEqual(await decide({ reason: 'no idea' }), { allowed: true, reason: 'by a role' })
  assert.deepEqual(await decide({ denied: true, reason: 'never' }), {
    ...{ allowed: false, reason: 'never', isDenied: true },
  })
  assert.deepEqual(await decide(null), { allowed: true, reason: 'by a role' })
  assert.deepEqual(await decide(null, [], 'Deny'), {
    ...{ allowed: false, reason: '', isDenied: true, error: 'it is off' },
  })
  assert.equal((await decide({ denied: true }, ['system:masters'])).allowed, true)
})

test('a webhook that cannot be asked makes a request fail that nobody allows', async () => {
  const [webhook] = webhooksOf([WEBHOOK])
  const post = () => Promise.reject(new Error('it is off'))
  const steps = ['RBAC', { webhook: webhook ?? assert.fail(), post }, 'Node'] as const
  const authorizer = orderedAuthorizer(localOf({ allowed: false, reason: 'no role' }), steps, {
    now: () => 0,
  })
  assert.deepEqual(await authorizer.authorize(requestOf('get')), {
    ...{ allowed: false, reason: 'no role', error: 'it is off' },
  })
  assert.deepEqual(authorizer.rulesFor({ username: 'eve', groups: [] }, 'default').problems, [
    'webhook authorizer does not support user rule resolution',
  ])
})

test('a condition that says no counts, although another one cannot be told', async () => {
  const conditional = {
    ...{ ...WEBHOOK, failurePolicy: 'Deny', matchConditionSubjectAccessReviewVersion: 'v1' },
    matchConditions: [
      { expression: "request.nonResourceAttributes.path == '/'" },
      { expression: "request.resourceAttributes.verb == 'list'" },
    ],
  }
  assert.deepEqual(await ask([{ allowed: true }], [conditional]), { asked: [], allowed: [false, false] })
})

test('names and types that come twice are refused', () => {
  const [node, rbac] = BUILT_IN
  assert.match(
    whyOf(() => parse([], [node ?? {}, rbac ?? {}, { type: 'RBAC', name: 'rbac' }])),
    /^authorizers\[2\].type: Duplicate value: "RBAC"\nauthorizers\[2\].name: Duplicate value: "rbac"$/,
  )
  assert.match(
    whyOf(() => parse([], [node ?? {}, { type: 'RBAC', name: 'A B' }])),
    /authorizers\[1\].name: Invalid value: "A B"/,
  )
})
