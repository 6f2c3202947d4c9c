import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { KubeObject } from '../../../../../src/kube/object.ts'
import { flowControlObjects } from '../../../../../src/runtime/apiserver/bootstrap/flow-control.ts'
import { currentLimits, SeatDemand } from '../../../../../src/runtime/apiserver/fairness/borrowing.ts'
import { flowControlConfig } from '../../../../../src/runtime/apiserver/fairness/config.ts'
import { distinguisherOf, schemaFor } from '../../../../../src/runtime/apiserver/fairness/matching.ts'
import { listSeats } from '../../../../../src/runtime/apiserver/fairness/seats.ts'
import { parseRequestInfo } from '../../../../../src/runtime/apiserver/requests/request-info.ts'

const of = (kind: string): KubeObject[] => flowControlObjects().filter(one => one.kind === kind)
const config = flowControlConfig(of('FlowSchema'), of('PriorityLevelConfiguration'))
const everybody = 'system:authenticated'

function schemaOf(username: string, groups: string[], method: string, path: string): string | undefined {
  const info = parseRequestInfo(method, path, new URLSearchParams())
  return schemaFor(config.schemas, { username, groups: [...groups, everybody] }, info)?.name
}

test('the suggested schemas sort requests as upstream does', () => {
  const account = 'system:serviceaccount:kube-system:job-controller'
  const accounts = ['system:serviceaccounts', 'system:serviceaccounts:kube-system']
  const lease = '/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/node-1'
  const pods = '/api/v1/namespaces/default/pods'
  assert.equal(schemaOf('admin', ['system:masters'], 'GET', pods), 'exempt')
  assert.equal(schemaOf('anybody', [], 'GET', '/healthz'), 'probes')
  assert.equal(schemaOf('system:node:a', ['system:nodes'], 'PUT', lease), 'system-node-high')
  assert.equal(
    schemaOf('system:node:a', ['system:nodes'], 'PATCH', '/api/v1/nodes/a/status'),
    'system-node-high',
  )
  assert.equal(schemaOf('system:node:a', ['system:nodes'], 'GET', pods), 'system-nodes')
  assert.equal(schemaOf(account, accounts, 'GET', pods), 'kube-system-service-accounts')
  assert.equal(
    schemaOf('system:serviceaccount:a:b', ['system:serviceaccounts'], 'GET', pods),
    'service-accounts',
  )
  assert.equal(schemaOf('system:kube-scheduler', [], 'GET', pods), 'kube-scheduler')
  assert.equal(schemaOf('jane', [], 'GET', pods), 'global-default')
})

test('the seats of all levels are those of the server, by shares', () => {
  const nominal = Object.fromEntries([...config.levels.values()].map(one => [one.name, one.nominal]))
  assert.deepEqual(nominal, {
    exempt: 0,
    'catch-all': 13,
    'global-default': 49,
    'leader-election': 25,
    'node-high': 98,
    system: 74,
    'workload-high': 98,
    'workload-low': 245,
  })
  assert.equal(config.levels.get('workload-low')?.lower, 24)
})

test('schemas without their level match nothing, and what is mandatory is always there', () => {
  const bare = flowControlConfig(of('FlowSchema'), [])
  assert.deepEqual(
    bare.schemas.map(({ name }) => name),
    ['exempt', 'probes', 'catch-all'],
  )
  assert.equal(flowControlConfig([], []).schemas.length, 2)
})

test('flows are told apart by what the schema says', () => {
  const info = parseRequestInfo('GET', '/api/v1/namespaces/a/pods', new URLSearchParams())
  const by = (name: string) => {
    const schema = config.schemas.find(one => one.name === name)
    assert(schema !== undefined)
    return distinguisherOf(schema, { username: 'jane', groups: [] }, info)
  }
  assert.equal(by('global-default'), 'jane')
  assert.equal(by('kube-scheduler'), 'a')
  assert.equal(by('exempt'), '')
})

test('long lists take more seats, and never more than their share of the level', () => {
  const work = { objects: 5_000, limit: 0, isNamed: false }
  assert.equal(listSeats(work, 245), 10)
  assert.equal(listSeats(work, 20), 3)
  assert.equal(listSeats({ ...work, limit: 500 }, 245), 5)
  assert.equal(listSeats({ ...work, isNamed: true }, 245), 1)
  assert.equal(listSeats({ ...work, objects: 0 }, 245), 1)
})

test('a level in need borrows what the others do not use', () => {
  const claimants = [...config.levels.values()]
    .filter(({ isExempt }) => !isExempt)
    .map(level => {
      const isBusy = level.name === 'global-default'
      return { config: level, high: isBusy ? 400 : 0, smooth: isBusy ? 400 : 0 }
    })
  const limits = currentLimits(claimants, 600)
  assert(limits.reduce((sum, one) => sum + one, 0) <= 600 + limits.length)
  for (const [at, one] of claimants.entries()) {
    assert((limits[at] ?? 0) >= Math.min(one.config.lower, one.config.nominal))
    if (one.config.name === 'global-default') assert((limits[at] ?? 0) > 3 * one.config.nominal)
  }
})

test('demand is weighted by how long it was there', () => {
  const demand = new SeatDemand()
  demand.set(10, 0)
  demand.set(0, 1)
  const { high, average } = demand.take(10)
  assert.deepEqual([high, average], [10, 1])
  assert.equal(demand.take(20).high, 0)
})
