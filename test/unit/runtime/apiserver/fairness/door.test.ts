import assert from 'node:assert/strict'
import { test } from 'node:test'
import { makeServer, realModel } from '../harness.ts'

const GROUP = '/apis/flowcontrol.apiserver.k8s.io/v1'
const jane = { username: 'jane', groups: ['system:authenticated'] }

/** A level of one seat without queues, for requests of jane for ConfigMaps. */
async function narrow(server: ReturnType<typeof makeServer>): Promise<void> {
  const limited = { nominalConcurrencyShares: 1, borrowingLimitPercent: 0, limitResponse: { type: 'Reject' } }
  const level = { metadata: { name: 'narrow' }, spec: { type: 'Limited', limited } }
  const wide = {
    metadata: { name: 'wide' },
    spec: { type: 'Limited', limited: { ...limited, nominalConcurrencyShares: 10_000 } },
  }
  for (const object of [level, wide]) {
    const made = await server.call('POST', `${GROUP}/prioritylevelconfigurations`, {
      apiVersion: 'flowcontrol.apiserver.k8s.io/v1',
      kind: 'PriorityLevelConfiguration',
      ...object,
    })
    assert.equal(made.status, 201)
  }
  const resourceRules = [
    { verbs: ['*'], apiGroups: [''], resources: ['configmaps'], namespaces: ['*'], clusterScope: true },
  ]
  const made = await server.call('POST', `${GROUP}/flowschemas`, {
    apiVersion: 'flowcontrol.apiserver.k8s.io/v1',
    kind: 'FlowSchema',
    metadata: { name: 'jane' },
    spec: {
      priorityLevelConfiguration: { name: 'narrow' },
      matchingPrecedence: 50,
      rules: [{ subjects: [{ kind: 'User', user: { name: 'jane' } }], resourceRules }],
    },
  })
  assert.equal(made.status, 201)
}

test('a request beyond the seats of its level is refused, and says whose flow it was', async () => {
  const held = Promise.withResolvers<void>()
  const server = makeServer({
    authorizer: {
      async authorize({ user }) {
        if (user.username === 'jane') await held.promise
        return { allowed: true, reason: '' }
      },
    },
    model: realModel(),
  })
  await narrow(server)
  const path = '/api/v1/namespaces/default/configmaps/none'
  const first = server.raw('GET', path, { user: jane })
  const second = await server.raw('GET', path, { user: jane })
  assert.equal(second.status, 429)
  assert.equal(second.headers['retry-after'], '1')
  assert.match(second.headers['x-kubernetes-pf-flowschema-uid'] ?? '', /^[0-9a-f-]{36}$/)
  assert.match(second.headers['x-kubernetes-pf-prioritylevel-uid'] ?? '', /^[0-9a-f-]{36}$/)
  assert.equal((await server.call('GET', path)).status, 404)
  const { body } = await server.raw('GET', '/debug/api_priority_and_fairness/dump_priority_levels')
  assert.match(Buffer.from(body as Uint8Array).toString(), /^narrow, 0, false, false, 0, 1, 1, 1, 0, 0$/m)
  held.resolve()
  assert.equal((await first).status, 404)
  assert.equal((await server.raw('GET', path, { user: jane })).status, 404)
  const rejected = server.api.flowMetrics().find(({ name }) => name.endsWith('rejected_requests_total'))
  assert.deepEqual(rejected?.labels, {
    flow_schema: 'jane',
    priority_level: 'narrow',
    reason: 'concurrency-limit',
  })
  await server.api.stop()
})
