/** Who the API server asks changes with the AuthorizationConfiguration, while it runs. */
import assert from 'node:assert/strict'
import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'node:test'
import { systemClock } from '../../../src/base/clock.ts'
import { silentLog } from '../../../src/base/log.ts'
import type { NodeConfig } from '../../../src/config/node-config.ts'
import type { LocalAuthorizer } from '../../../src/runtime/apiserver/authz/authz.ts'
import type { RequestAttributes } from '../../../src/runtime/apiserver/ports.ts'
import { buildAccess } from '../../../src/runtime/server-access.ts'
import { temporaryDirectory } from '../../support/cluster.ts'
import { until } from '../../support/until.ts'
import { startWebhookServer } from '../../support/webhook-server.ts'

const asked: RequestAttributes = {
  ...{ user: { username: 'eve', groups: [] }, verb: 'get', isResource: true, path: '' },
  ...{ group: '', version: 'v1', resource: 'pods', subresource: '', namespace: 'dev', name: 'p' },
}

test('a webhook is asked from the moment on that the file names it, and what names none is not heeded', async t => {
  const hook = await startWebhookServer(() => ({ body: { status: { allowed: true, reason: 'it said so' } } }))
  const directory = temporaryDirectory()
  const write = (name: string, value: unknown) => {
    writeFileSync(join(directory, name), JSON.stringify(value))
    return join(directory, name)
  }
  const kubeConfigFile = write('hook.kubeconfig', {
    clusters: [{ name: 'c', cluster: { server: hook.url, 'certificate-authority-data': hook.caBundle } }],
    contexts: [{ name: 'x', context: { cluster: 'c', user: '' } }],
    'current-context': 'x',
  })
  const configure = (...more: object[]) =>
    write('authorization.yaml', {
      ...{ apiVersion: 'apiserver.config.k8s.io/v1', kind: 'AuthorizationConfiguration' },
      authorizers: [{ type: 'Node', name: 'node' }, { type: 'RBAC', name: 'rbac' }, ...more],
    })
  const no = () => ({ allowed: false, reason: '' })
  const authorizer = {
    ...{ authorize: no, parts: { Node: no, RBAC: no }, stop() {} },
    rulesFor: () => ({ rules: [], problems: [] }),
    rulesOf: () => ({ rules: [] }),
  } as LocalAuthorizer
  const { reviews, files } = buildAccess({
    config: { nodeName: 'n1', apiServer: { authorizationConfig: configure() } } as unknown as NodeConfig,
    ...{ issuer: 'https://cluster', publicKeys: () => [], authorizer, clock: systemClock, log: silentLog },
    objects: { get: () => null, list: () => [] },
  })
  const [file, ...others] = files
  assert.deepEqual([file?.name, others], ['authorization-config', []])
  await file?.start()
  t.after(async () => {
    await file?.stop()
    await hook.close()
    rmSync(directory, { recursive: true, force: true })
  })
  assert.equal((await reviews.authorize(asked)).allowed, false)
  const webhook = {
    ...{ timeout: '3s', subjectAccessReviewVersion: 'v1', failurePolicy: 'Deny' },
    connectionInfo: { type: 'KubeConfigFile', kubeConfigFile },
  }
  configure({ type: 'Webhook', name: 'hook', webhook })
  await until('the webhook is asked', async () => (await reviews.authorize(asked)).allowed)
  assert.deepEqual(await reviews.authorize(asked), { allowed: true, reason: 'it said so' })
  configure({ type: 'Webhook', name: 'hook', webhook: { ...webhook, timeout: 'never' } })
  await until('the problem', () => file?.problems().length === 1)
  assert.match(file?.problems()[0]?.message ?? '', /webhook.timeout: Invalid value: "never"/)
  assert.equal((await reviews.authorize(asked)).allowed, true)
  configure()
  await until('the webhook is left alone', async () => !(await reviews.authorize(asked)).allowed)
})
