/** What the dashboard passes on to the API server, and what it does not whatever the user may. */
import assert from 'node:assert/strict'
import test from 'node:test'
import { refusalOf } from '../../../../../src/runtime/addons/dashboard/plan-relay.ts'

const refusal = (method: string, path: string, query = '') =>
  refusalOf({ method, path, query: new URLSearchParams(query) })

test('what the page shows goes on, with watches and logs', () => {
  const passed = [
    ['/api/v1/pods', 'limit=500&includeObject=Metadata'],
    ['/api/v1/namespaces/default/pods', 'watch=true&resourceVersion=7&allowWatchBookmarks=true'],
    ['/api/v1/namespaces', ''],
    ['/api/v1/namespaces/default', ''],
    ['/api/v1/namespaces/default/pods/web-1/log', 'follow=true&tailLines=500&container=web'],
    ['/apis/apps/v1/deployments', 'labelSelector=app%3Dweb'],
    ['/apis/metrics.k8s.io/v1beta1/nodes', ''],
    ['/apis/addons.mk8s.io/v1/addons', ''],
    ['/mk8s/status', ''],
  ] as const
  for (const [path, query] of passed) assert.equal(refusal('GET', path, query), undefined, path)
})

test('Secrets, exec, proxies, impersonation and paths out of line do not go on', () => {
  const refused = [
    '/api/v1/secrets',
    '/api/v1/namespaces/default/secrets/key',
    '/api/v1/namespaces/default/configmaps',
    '/api/v1/namespaces/default/pods/web/exec',
    '/api/v1/namespaces/default/pods/web/proxy',
    '/api/v1/nodes/n1/proxy/logs',
    '/api/v1/namespaces/default/services/web/proxy',
    '/apis/rbac.authorization.k8s.io/v1/clusterroles',
    '/apis/apps/v1/pods/web/log',
    '/api/v1/namespaces/default/pods/../secrets',
    '/api/v1/namespaces/default/pods/web%2Flog',
    '/metrics',
    '/mk8s/status/',
    '',
  ]
  for (const path of refused) assert.notEqual(refusal('GET', path), undefined, path)
  assert.match(refusal('GET', '/api/v1/pods', 'as=admin') ?? '', /parameter as/)
})

test('little may be changed, and only by name', () => {
  const pods = '/api/v1/namespaces/default/pods'
  const deployments = '/apis/apps/v1/namespaces/default/deployments'
  assert.equal(refusal('DELETE', `${pods}/web-1`), undefined)
  assert.equal(refusal('PATCH', `${deployments}/web`), undefined)
  assert.equal(refusal('PATCH', `${deployments}/web/scale`), undefined)
  assert.equal(refusal('POST', '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews'), undefined)
  for (const [method, path] of [
    ['DELETE', pods],
    ['DELETE', `${deployments}/web`],
    ['PATCH', `${pods}/web-1`],
    ['PATCH', '/apis/apps/v1/namespaces/default/daemonsets/web/scale'],
    ['POST', pods],
    ['PUT', `${deployments}/web`],
    ['POST', '/mk8s/status'],
  ] as const)
    assert.notEqual(refusal(method, path), undefined, `${method} ${path}`)
})
