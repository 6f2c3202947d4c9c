/** Bootstrap tokens: which Secrets make one, and who comes of it. */
import assert from 'node:assert/strict'
import test from 'node:test'
import type { KubeObject } from '../../../../../src/kube/object.ts'
import { createBootstrapTokens } from '../../../../../src/runtime/apiserver/authn/bootstrap-tokens.ts'

const NOW = Date.parse('2026-01-01T00:00:00Z')
const TOKEN = 'abcdef.0123456789abcdef'
const good = {
  'token-id': 'abcdef',
  'token-secret': '0123456789abcdef',
  'usage-bootstrap-authentication': 'true',
  expiration: '2026-01-01T00:00:01Z',
  'auth-extra-groups': 'system:bootstrappers:b,system:bootstrappers:a',
}

function review(
  data: object,
  { token = TOKEN, type = 'bootstrap.kubernetes.io/token', audiences = ['api'] } = {},
) {
  const encoded = Object.entries(data).map(([key, value]) => [key, Buffer.from(value).toString('base64')])
  const secret: KubeObject = {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name: 'bootstrap-token-abcdef', namespace: 'kube-system' },
    type,
    data: Object.fromEntries(encoded),
  }
  const get = (_group: string, resource: string, namespace: string, name: string) =>
    `${resource}/${namespace}/${name}` === 'secrets/kube-system/bootstrap-token-abcdef' ? secret : null
  const objects = { get, list: () => [] }
  const reviewer = createBootstrapTokens({ objects, clock: { now: () => NOW }, ownAudiences: ['api'] })
  return reviewer.review(token, audiences)
}

test('a good token is its own user in the groups of bootstrappers', async () => {
  assert.deepEqual(await review(good), {
    valid: true,
    user: {
      username: 'system:bootstrap:abcdef',
      groups: [
        'system:bootstrappers',
        'system:bootstrappers:a',
        'system:bootstrappers:b',
        'system:authenticated',
      ],
    },
    audiences: ['api'],
  })
})

test('a token that is over, for something else, of another Secret or for others is none', async () => {
  const wrong = [
    review({ ...good, expiration: '2026-01-01T00:00:00Z' }),
    review({ ...good, expiration: 'soon' }),
    review({ ...good, 'usage-bootstrap-authentication': 'yes' }),
    review({ ...good, 'token-secret': '0123456789abcdee' }),
    review({ ...good, 'token-id': 'abcdeg' }),
    review({ ...good, 'auth-extra-groups': 'system:masters' }),
    review(good, { type: 'Opaque' }),
    review(good, { audiences: ['vault'] }),
    review(good, { token: 'abcdef.0123456789ABCDEF' }),
    review(good, { token: 'fedcba.0123456789abcdef' }),
  ]
  assert.deepEqual(new Set(await Promise.all(wrong)), new Set([null]))
})
