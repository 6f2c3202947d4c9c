/** The audit log: what a policy asks for, what is written of real requests, and what the file does with it. */
import assert from 'node:assert/strict'
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'node:test'
import { silentLog } from '../../../../../src/base/log.ts'
import { systemRandom } from '../../../../../src/base/random.ts'
import { createAudit } from '../../../../../src/runtime/apiserver/audit/audit.ts'
import { createAuditFile } from '../../../../../src/runtime/apiserver/audit/log-file.ts'
import { parsePolicy } from '../../../../../src/runtime/apiserver/audit/policy.ts'
import { makeServer } from '../harness.ts'

const policy = (rules: unknown[], more = {}) =>
  parsePolicy(
    JSON.stringify({ apiVersion: 'audit.k8s.io/v1', kind: 'Policy', rules, ...more }),
    'policy.yaml',
  )

interface Event {
  readonly [key: string]: unknown
  readonly stage: string
  readonly level: string
  readonly requestObject?: { readonly metadata: Record<string, unknown> }
  readonly responseObject?: { readonly metadata: Record<string, unknown> }
}

function audited(rules: unknown[], more = {}) {
  const events: Event[] = []
  const audit = createAudit({
    policy: policy(rules, more),
    write: line => events.push(JSON.parse(line)),
    clock: { now: () => Date.parse('2026-01-02T03:04:05.006Z') },
    random: systemRandom,
  })
  return { events, server: makeServer({ audit }) }
}

const configMap = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'a' }, data: { k: 'v' } }
const configMaps = '/api/v1/namespaces/default/configmaps'

test('an event says who asked for what, when, from where, and what came of it', async () => {
  const { events, server } = audited([{ level: 'Metadata' }])
  const { headers } = await server.call('GET', `${configMaps}/nothing?pretty=true`, undefined, {
    'user-agent': 'probe',
    'audit-id': 'given',
    'x-forwarded-for': '192.0.2.1, 192.0.2.2',
  })
  assert.equal(headers['audit-id'], 'given')
  assert.deepEqual(
    events.map(({ stage }) => stage),
    ['RequestReceived', 'ResponseComplete'],
  )
  assert.deepEqual(events[1], {
    kind: 'Event',
    apiVersion: 'audit.k8s.io/v1',
    level: 'Metadata',
    auditID: 'given',
    stage: 'ResponseComplete',
    requestURI: `${configMaps}/nothing?pretty=true`,
    verb: 'get',
    user: { username: 'admin', groups: ['system:masters'] },
    sourceIPs: ['192.0.2.1', '192.0.2.2', '127.0.0.1'],
    userAgent: 'probe',
    objectRef: { resource: 'configmaps', namespace: 'default', name: 'nothing', apiVersion: 'v1' },
    responseStatus: {
      metadata: {},
      status: 'Failure',
      message: 'configmaps "nothing" not found',
      reason: 'NotFound',
      details: { name: 'nothing', kind: 'configmaps' },
      code: 404,
    },
    requestReceivedTimestamp: '2026-01-02T03:04:05.006000Z',
    stageTimestamp: '2026-01-02T03:04:05.006000Z',
    annotations: { 'authorization.k8s.io/decision': 'allow', 'authorization.k8s.io/reason': '' },
  })
})

test('a request without a known sender is written, and its credentials are not', () => {
  const { events, server } = audited([{ level: 'Metadata' }])
  for (const authorization of ['Bearer hidden', 'hidden']) {
    server.api.refused({ method: 'GET', path: configMaps, headers: { authorization, 'audit-id': 'given' } })
  }
  assert.deepEqual(
    events.map(({ stage, user, responseStatus }) => ({ stage, user, responseStatus })),
    ['attempted: bearer', 'no credentials provided'].map(how => ({
      stage: 'ResponseStarted',
      user: {},
      responseStatus: {
        metadata: {},
        status: 'Failure',
        message: `Authentication failed, ${how}`,
        reason: 'Unauthorized',
        code: 401,
      },
    })),
  )
  assert.ok(!JSON.stringify(events).includes('hidden'))
})

test('bodies are written at their level, without managed fields where the policy says so', async () => {
  const rules = [{ level: 'Request', verbs: ['create'] }, { level: 'RequestResponse' }]
  const { events, server } = audited(rules, { omitStages: ['RequestReceived'], omitManagedFields: true })
  await server.call('POST', configMaps, configMap)
  await server.call('GET', `${configMaps}/a`)
  const [created, got] = events
  assert.deepEqual([created?.requestObject, created?.responseObject], [configMap, undefined])
  assert.equal(got?.responseObject?.metadata['name'], 'a')
  assert.equal(got?.responseObject?.metadata['managedFields'], undefined)
})

test('bodies of Secrets are written only where a rule names Secrets', async () => {
  const secret = { apiVersion: 'v1', kind: 'Secret', metadata: { name: 'a' }, stringData: { k: 'hidden' } }
  const omitStages = ['RequestReceived']
  const path = '/api/v1/namespaces/default/secrets'
  for (const [resources, level] of [
    [[{ group: '', resources: ['*'] }], 'Metadata'],
    [[{ group: '', resources: ['secrets'] }], 'RequestResponse'],
  ] as const) {
    const { events, server } = audited([{ level: 'RequestResponse', resources, omitStages }])
    await server.call('POST', path, secret)
    assert.equal(events[0]?.level, level)
    assert.equal(JSON.stringify(events).includes('hidden'), level === 'RequestResponse')
  }
})

test('the first rule that fits decides; what none fits is not written', async () => {
  const { events, server } = audited([
    { level: 'None', users: ['admin'], resources: [{ group: '', resources: ['configmaps'] }] },
    { level: 'Metadata', nonResourceURLs: ['/ver*'] },
    { level: 'Metadata', namespaces: ['default'], verbs: ['list'], userGroups: ['system:masters'] },
    { level: 'Metadata', resources: [{ group: 'apps', resources: ['*/scale', 'deployments/*'] }] },
  ])
  for (const path of [configMaps, '/version', '/healthz', '/api/v1/namespaces/default/pods', '/api/v1/pods'])
    await server.call('GET', path)
  await server.call('GET', '/apis/apps/v1/namespaces/other/deployments/a/status')
  const paths = events.filter(({ stage }) => stage === 'ResponseComplete').map(one => one['requestURI'])
  const deployment = '/apis/apps/v1/namespaces/other/deployments/a/status'
  assert.deepEqual(paths, ['/version', '/api/v1/namespaces/default/pods', deployment])
})

test('a watch has started, and is complete when it ends', async () => {
  const { events, server } = audited([{ level: 'Metadata', omitStages: ['RequestReceived'] }])
  const { body } = await server.raw('GET', `${configMaps}?watch=true&timeoutSeconds=1`)
  assert.deepEqual(
    events.map(({ stage }) => stage),
    ['ResponseStarted'],
  )
  assert.ok(!(body instanceof Uint8Array))
  for await (const _ of body) assert.ok(true)
  assert.equal(events[1]?.stage, 'ResponseComplete')
})

test('a policy that cannot be meant is refused with every reason', () => {
  const rules = [{ level: 'Much' }, { level: 'Metadata', namespaces: ['a'], nonResourceURLs: ['/x'] }]
  assert.throws(() => policy(rules), { code: 'config/invalid', why: /rules\[0\].level[\s\S]*rules\[1\]/ })
  assert.throws(() => policy([]), { why: /there are none/ })
})

test('a full file is put aside, so many are kept, and nobody else reads them', async t => {
  const directory = mkdtempSync(join(tmpdir(), 'mk8s-audit-'))
  t.after(() => rmSync(directory, { recursive: true, force: true }))
  let now = Date.parse('2026-01-02T03:04:05Z')
  const path = join(directory, 'audit/audit.log')
  const limits = { maxSizeMiB: 1, maxBackups: 2, maxAgeDays: 1 }
  const file = createAuditFile({ path, ...limits, clock: { now: () => now }, log: silentLog })
  await file.start(new AbortController().signal)
  // Between two files there is none under the name.
  const holds = (text: string) => {
    try {
      return readFileSync(path).includes(text)
    } catch {
      return false
    }
  }
  for (let at = 0; at < 5; at += 1) {
    now += 1000
    file.write(`${at}`.repeat(700_000))
    while (!holds(`${at}${at}`)) await new Promise(setImmediate)
  }
  await file.stop()
  const names = readdirSync(join(directory, 'audit')).sort()
  assert.deepEqual(names, [
    'audit-2026-01-02T03-04-09.000.log',
    'audit-2026-01-02T03-04-10.000.log',
    'audit.log',
  ])
  assert.equal(statSync(path).mode & 0o777, 0o600)
  now += 2 * 86_400_000
  const next = createAuditFile({ path, ...limits, clock: { now: () => now }, log: silentLog })
  await next.start(new AbortController().signal)
  await next.stop()
  assert.deepEqual(readdirSync(join(directory, 'audit')), ['audit.log'])
})
