import assert from 'node:assert/strict'
import { test } from 'node:test'
import { deployment, makeServer, pod } from './harness.ts'

const base = '/api/v1/namespaces/default'
const web = '/apis/apps/v1/namespaces/default/deployments/web'

async function prepared() {
  const server = makeServer()
  await server.call('POST', `${base}/pods`, pod('p'))
  await server.call('POST', '/apis/apps/v1/namespaces/default/deployments', deployment('web'))
  return server
}

const bodies = [
  'null',
  '5',
  '""',
  '[]',
  '{"metadata":null}',
  '{"metadata":[]}',
  '{"metadata":{"name":5}}',
  '{"metadata":{"name":"x","labels":[]}}',
  '{"metadata":{"name":"x","labels":{"__proto__":"y"}}}',
  '{"metadata":{"name":"x","finalizers":{}}}',
  '{"metadata":{"name":"x","ownerReferences":[null]}}',
  '{"metadata":{"name":"x"},"spec":5}',
  '{"metadata":{"name":"x"},"spec":{"containers":[null]}}',
  '{"metadata":{"name":"x"},"spec":{"ports":[null]}}',
  '{"kind":5}',
  '{"apiVersion":{}}',
  '['.repeat(5_000),
]

test('malformed bodies of creations are refused with 4xx and store nothing', async () => {
  const { call, store } = await prepared()
  const before = store.revision
  for (const resource of ['pods', 'services', 'pods/p/binding', 'serviceaccounts/none/token']) {
    for (const body of bodies) {
      const { status, body: reply } = await call('POST', `${base}/${resource}`, body)
      const isKnown = status >= 400 && (status < 500 || status === 501)
      assert.ok(isKnown, `${resource} ${body.slice(0, 60)}: ${status} ${reply.message}`)
    }
  }
  assert.equal(store.revision, before)
})

const patches: readonly (readonly [string, string])[] = [
  ['merge-patch', 'null'],
  ['merge-patch', '{"metadata":null}'],
  ['merge-patch', '{"spec":null}'],
  ['merge-patch', '{"spec":{"template":null}}'],
  ['merge-patch', '{"kind":"Pod"}'],
  ['merge-patch', '{"metadata":{"name":"other"}}'],
  ['merge-patch', '{"metadata":{"uid":"other"}}'],
  ['merge-patch', '{"metadata":{"resourceVersion":"99999"}}'],
  ['json-patch', '{}'],
  ['json-patch', '[5]'],
  ['json-patch', ''],
  ['json-patch', '[{"op":"replace","path":"","value":5}]'],
  ['json-patch', '[{"op":"remove","path":""}]'],
  ['json-patch', '[{"op":"add","path":"/spec/__proto__/x","value":5}]'],
  ['strategic-merge-patch', '{"spec":{"template":{"spec":{"containers":[{"$patch":"bad"}]}}}}'],
  ['strategic-merge-patch', '{"spec":{"template":{"spec":{"containers":5}}}}'],
  ['strategic-merge-patch', '{"$patch":"replace"}'],
]

test('senseless patches are refused as bad ones, and change nothing', async () => {
  const { call, store } = await prepared()
  const before = store.revision
  for (const [type, body] of patches) {
    const headers = { 'content-type': `application/${type}+json` }
    const { status, body: reply } = await call('PATCH', web, body, headers)
    const isRefused = status >= 400 && (status < 500 || reply.reason === undefined)
    assert.ok(isRefused, `${type} ${body}: ${status} ${reply.message}`)
  }
  for (const body of ['null', '{"metadata":null}', '{"spec":{"replicas":"x"}}', '{"spec":{"replicas":-1}}']) {
    const headers = { 'content-type': 'application/merge-patch+json' }
    const { status } = await call('PATCH', `${web}/scale`, body, headers)
    assert.ok((status >= 400 && status < 500) || body.includes('null'), `scale ${body}: ${status}`)
  }
  assert.equal(store.revision, before)
})
