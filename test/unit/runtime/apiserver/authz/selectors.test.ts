/** What authorizers are told of selectors: by reviews, by requests, by expressions, and how webhooks are asked. */
import assert from 'node:assert/strict'
import test from 'node:test'
import type { StatusError } from '../../../../../src/kube/status.ts'
import { plainWebhook } from '../../../../../src/runtime/apiserver/authz/authorization-configuration.ts'
import { orderedAuthorizer } from '../../../../../src/runtime/apiserver/authz/ordered.ts'
import { createAuthorizationHandlers } from '../../../../../src/runtime/apiserver/authz/reviews.ts'
import { selectorAttributes, selectorsIn } from '../../../../../src/runtime/apiserver/authz/selectors.ts'
import type { RequestAttributes, VirtualRequest } from '../../../../../src/runtime/apiserver/ports.ts'

const JANE = { username: 'jane', groups: [] }

/** Asks a SelfSubjectAccessReview with these selectors; what the authorizer saw, and the status. */
async function review(selectors: object) {
  const seen: RequestAttributes[] = []
  const authorizer = {
    authorize(attributes: RequestAttributes) {
      seen.push(attributes)
      return { allowed: true, reason: '' }
    },
    rulesFor: () => ({ rules: [], problems: [] }),
  }
  const [self] = createAuthorizationHandlers(authorizer)
  const body = { spec: { resourceAttributes: { verb: 'list', resource: 'pods', ...selectors } } }
  const answer = await self?.handle({ body, user: JANE } as unknown as VirtualRequest, {} as never)
  return { seen: seen[0], status: answer?.object?.['status'] }
}

test('requirements and raw selectors of a review reach the authorizer', async () => {
  const { seen, status } = await review({
    fieldSelector: { rawSelector: 'spec.nodeName=n1,status.phase!=Running' },
    labelSelector: { requirements: [{ key: 'app', operator: 'In', values: ['a', 'b'] }] },
  })
  assert.deepEqual(seen?.fieldSelector, [
    { field: 'spec.nodeName', operator: '=', value: 'n1' },
    { field: 'status.phase', operator: '!=', value: 'Running' },
  ])
  assert.deepEqual(seen?.labelSelector, [{ key: 'app', operator: 'in', values: ['a', 'b'] }])
  assert.deepEqual(status, { allowed: true })
})

test('what cannot be read of a selector is ignored, and the review says so', async () => {
  const { seen, status } = await review({
    fieldSelector: {
      requirements: [
        { key: 'metadata.name', operator: 'In', values: ['a'] },
        { key: 'spec.nodeName', operator: 'Newer', values: ['n1'] },
      ],
    },
    labelSelector: { rawSelector: 'app in (' },
  })
  assert.deepEqual(seen?.fieldSelector, [{ field: 'metadata.name', operator: '=', value: 'a' }])
  assert.equal(seen?.labelSelector, undefined)
  assert.deepEqual(status, {
    allowed: true,
    evaluationError:
      'spec.resourceAttributes.fieldSelector partially ignored due to parse error, ' +
      'spec.resourceAttributes.labelSelector ignored due to parse error',
  })
})

test('a review whose selectors contradict themselves is invalid', async () => {
  const messageOf = async (selectors: object) =>
    review(selectors).then(
      () => '',
      (error: StatusError) => error.message,
    )
  const both = { rawSelector: 'a=b', requirements: [{ key: 'a', operator: 'Exists' }] }
  assert.match(
    await messageOf({ fieldSelector: both }),
    /spec.resourceAttributes.fieldSelector.rawSelector: Invalid value: "a=b": may not specified at the same time/,
  )
  assert.match(
    await messageOf({ labelSelector: {} }),
    /labelSelector.requirements: Required value: when spec/,
  )
  assert.match(
    await messageOf({ labelSelector: { requirements: [{ key: 'a', operator: 'In' }] } }),
    /requirements\[0\].values: Required value: must be specified when `operator` is 'In' or 'NotIn'/,
  )
})

test('a webhook is asked with requirements, without what has no word in them', async () => {
  const asked: unknown[] = []
  const post = async (body: object) => {
    asked.push((body as { spec: { resourceAttributes: object } }).spec.resourceAttributes)
    return { status: { allowed: true } }
  }
  const webhook = plainWebhook('/kubeconfig', { authorizedTtlMs: 0, unauthorizedTtlMs: 0 })
  const no = () => ({ allowed: false, reason: '' })
  const local = { parts: { Node: no, RBAC: no }, rulesFor: () => ({ rules: [], problems: [] }) }
  const authorizer = orderedAuthorizer(local, [{ post, webhook }], { now: () => 0 })
  const attributes = { user: JANE, verb: 'list', isResource: true, path: '', group: '', version: 'v1' }
  const about = { resource: 'pods', subresource: '', namespace: '', name: '' }
  await authorizer.authorize({
    ...attributes,
    ...about,
    ...selectorsIn('spec.nodeName=n1', '!x,app in (b,a),age>3'),
  })
  assert.deepEqual(asked, [
    {
      ...{ verb: 'list', version: 'v1', resource: 'pods' },
      fieldSelector: { requirements: [{ key: 'spec.nodeName', operator: 'In', values: ['n1'] }] },
      labelSelector: {
        requirements: [
          { key: 'app', operator: 'In', values: ['a', 'b'] },
          { key: 'x', operator: 'DoesNotExist' },
        ],
      },
    },
  ])
  assert.deepEqual(selectorAttributes(selectorsIn('spec.nodeName', '')), {})
})
