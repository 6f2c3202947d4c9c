/** What Kubernetes' conformance asks of Events in both groups, and of the objects of API priority and fairness. */
import assert from 'node:assert/strict'
import test, { after, before, describe } from 'node:test'
import type { ApiBody } from '../support/api.ts'
import { at, itemsOf, type Namespace, named, nameOf, type Suite, startSuite } from '../support/conformance.ts'
import { until } from '../support/until.ts'

const FLOWS = '/apis/flowcontrol.apiserver.k8s.io/v1'

interface Discovered {
  readonly name: string
  readonly verbs: readonly string[]
}

describe('events, and the objects of fairness', () => {
  let suite: Suite
  let home: Namespace
  before(async () => {
    suite = await startSuite()
    home = await suite.namespace('events')
  })
  after(() => suite?.cluster.remove())

  const list = async (path: string) => itemsOf(await suite.ok('GET', path))
  const names = async (path: string) => (await list(path)).map(nameOf)

  describe('Events', () => {
    const label = 'testevent-constant=true'
    const events = () => home.core('events')
    const coreEvent = (name: string, labels: Readonly<Record<string, string>>) => ({
      ...named('v1', 'Event', name),
      metadata: { name, labels },
      message: `This is ${name}`,
      reason: 'Test',
      type: 'Normal',
      involvedObject: { namespace: home.name },
    })

    test('should manage the lifecycle of an event', async () => {
      const path = `${events()}/event-test`
      const labels = { 'testevent-constant': 'true' }
      await suite.ok('POST', events(), coreEvent('event-test', labels))
      const all = await list(`/api/v1/events?labelSelector=${label}`)
      assert.deepEqual(all.map(nameOf), ['event-test'])
      await suite.ok('PATCH', path, { message: 'This is a test event - patched' }, 'strategic')
      const fetched = await suite.ok('GET', path)
      assert.equal(fetched.message, 'This is a test event - patched')
      const updated = await suite.ok('PUT', path, {
        ...fetched,
        series: { count: 100, lastObservedTime: '2014-01-03T10:10:10.000000Z' },
      })
      assert.equal(at(updated, 'series.count'), 100)
      assert.equal(at(await suite.ok('GET', path), 'series.lastObservedTime'), '2014-01-03T10:10:10.000000Z')
      await suite.ok('DELETE', path)
      assert.deepEqual(await names(`/api/v1/events?labelSelector=${label}`), [])
    })

    test('should delete a collection of events', async () => {
      const wanted = ['test-event-1', 'test-event-2', 'test-event-3']
      const labels = { 'testevent-set': 'true' }
      for (const name of wanted) await suite.ok('POST', events(), coreEvent(name, labels))
      const selected = `${events()}?labelSelector=testevent-set=true`
      assert.deepEqual(await names(selected), wanted)
      await suite.ok('DELETE', selected)
      assert.deepEqual(await names(selected), [])
    })
  })

  describe('Events API', () => {
    const events = () => home.of('events.k8s.io/v1', 'events')
    const newEvent = (name: string, label: string, namespace = home.name) => ({
      ...named('events.k8s.io/v1', 'Event', name),
      metadata: { name, labels: { 'testevent-constant': label } },
      eventTime: '2017-09-19T13:49:16.000000Z',
      series: { count: 2, lastObservedTime: '2017-09-19T13:49:16.000000Z' },
      note: `This is ${name}`,
      reportingController: 'test-controller',
      reportingInstance: 'test-node',
      action: 'Do',
      type: 'Normal',
      reason: 'Test',
      regarding: { namespace },
    })

    test('should ensure that an event can be fetched, patched, deleted, and listed', async () => {
      const path = `${events()}/event-test`
      await suite.ok('POST', events(), newEvent('event-test', 'api'))
      const query = 'labelSelector=testevent-constant=api'
      assert.deepEqual(await names(`${events()}?${query}`), ['event-test'])
      assert.deepEqual(await names(`/apis/events.k8s.io/v1/events?${query}`), ['event-test'])
      const byField = `${events()}?fieldSelector=reportingController%3Dtest-controller`
      assert.deepEqual(await names(byField), ['event-test'])
      const fetched = await suite.ok('GET', path)
      const patched = await suite.ok('PATCH', path, { series: null }, 'merge')
      assert.equal(at(patched, 'series'), undefined)
      const series = { count: 100, lastObservedTime: '2019-09-19T13:49:16.000000Z' }
      const now = await suite.ok('GET', path)
      const updated = await suite.ok('PUT', path, { ...now, series })
      assert.deepEqual(at(updated, 'series'), series)
      assert.equal(at(updated, 'note'), at(fetched, 'note'))
      await suite.ok('DELETE', path)
      assert.deepEqual(await names(`/apis/events.k8s.io/v1/events?${query}`), [])
    })

    test('should delete a collection of events', async () => {
      const wanted = ['test-event-1', 'test-event-2', 'test-event-3']
      for (const name of wanted) await suite.ok('POST', events(), newEvent(name, 'set'))
      const selected = `${events()}?labelSelector=testevent-constant=set`
      assert.deepEqual(await names(selected), wanted)
      await suite.ok('DELETE', selected)
      assert.deepEqual(await names(selected), [])
    })
  })

  describe('API priority and fairness', () => {
    const flow = (name: string, matchingPrecedence = 10_000) => ({
      ...named('flowcontrol.apiserver.k8s.io/v1', 'FlowSchema', name),
      metadata: { name, labels: { 'special-label': 'flow' } },
      spec: {
        matchingPrecedence,
        priorityLevelConfiguration: { name: 'global-default' },
        distinguisherMethod: { type: 'ByUser' },
        rules: [
          {
            subjects: [{ kind: 'User', user: { name: 'example-e2e-non-existent-user' } }],
            nonResourceRules: [{ verbs: ['*'], nonResourceURLs: ['*'] }],
          },
        ],
      },
    })
    const level = (name: string) => ({
      ...named('flowcontrol.apiserver.k8s.io/v1', 'PriorityLevelConfiguration', name),
      metadata: { name, labels: { 'special-label': 'level' } },
      spec: {
        type: 'Limited',
        limited: { nominalConcurrencyShares: 2, limitResponse: { type: 'Reject' } },
      },
    })

    test('should support FlowSchema API operations', async () => {
      await discovered('flowschemas')
      await operations('flowschemas', flow, {
        label: 'flow',
        patch: { metadata: { annotations: { patched: 'true' } }, spec: { matchingPrecedence: 9_999 } },
        patched: ['spec.matchingPrecedence', 9_999],
      })
    })

    test('should support PriorityLevelConfiguration API operations', async () => {
      await discovered('prioritylevelconfigurations')
      await operations('prioritylevelconfigurations', level, {
        label: 'level',
        patch: {
          metadata: { annotations: { patched: 'true' } },
          spec: { limited: { nominalConcurrencyShares: 4 } },
        },
        patched: ['spec.limited.nominalConcurrencyShares', 4],
      })
    })

    async function discovered(resource: string): Promise<void> {
      const groups = (await suite.ok('GET', '/apis'))['groups'] as { name: string }[]
      assert.ok(groups.some(group => group.name === 'flowcontrol.apiserver.k8s.io'))
      const group = await suite.ok('GET', '/apis/flowcontrol.apiserver.k8s.io')
      const versions = group['versions'] as { version: string }[]
      assert.ok(versions.some(one => one.version === 'v1'))
      const found = (await suite.ok('GET', FLOWS))['resources'] as Discovered[]
      for (const name of [resource, `${resource}/status`]) assert.ok(found.some(one => one.name === name))
    }

    interface Changes {
      readonly label: string
      readonly patch: object
      readonly patched: readonly [path: string, value: unknown]
    }

    async function operations(resource: string, make: (name: string) => object, changes: Changes) {
      const collection = `${FLOWS}/${resource}`
      const one = `${collection}/e2e-first`
      const selected = `${collection}?labelSelector=special-label=${changes.label}`
      const created = await suite.ok('POST', collection, make('e2e-first'))
      assert.equal(at(await suite.ok('GET', one), 'metadata.uid'), at(created, 'metadata.uid'))
      assert.deepEqual(await names(selected), ['e2e-first'])
      const version = at(await suite.ok('GET', selected), 'metadata.resourceVersion')
      const stream = await suite.watch(
        `${selected.replace('?', '?watch=1&')}&resourceVersion=${String(version)}`,
      )
      const [field, value] = changes.patched
      const patched = await suite.ok('PATCH', one, changes.patch, 'merge')
      assert.equal(at(patched, field), value)
      assert.equal(at(patched, 'metadata.annotations.patched'), 'true')
      await stream.find('the patch', ({ object }) => at(object, 'metadata.annotations.patched') === 'true')
      await updateObject(one, patched)
      await stream.find('the update', ({ object }) => at(object, 'metadata.annotations.updated') === 'true')
      stream.close()
      await changeStatus(one)
      await suite.ok('DELETE', one)
      await until('it is gone', async () => !(await suite.exists(one)))
      for (const name of ['e2e-second', 'e2e-third']) await suite.ok('POST', collection, make(name))
      assert.equal((await names(selected)).length, 2)
      await suite.ok('DELETE', selected)
      assert.deepEqual(await names(selected), [])
    }

    async function updateObject(path: string, now: ApiBody): Promise<void> {
      const annotations = { ...(at(now, 'metadata.annotations') as object), updated: 'true' }
      const updated = await replaced(path, fresh => ({
        ...fresh,
        metadata: { ...fresh.metadata, annotations },
      }))
      assert.equal(at(updated, 'metadata.annotations.updated'), 'true')
    }

    /** Again after a conflict: the server writes the status of these objects too. */
    const replaced = (path: string, change: (fresh: ApiBody) => object): Promise<ApiBody> =>
      until('the update meets no other', async () => {
        const answer = await suite.api(path, { method: 'PUT', body: change(await suite.ok('GET', path)) })
        assert.ok(answer.status === 200 || answer.status === 409, answer.text)
        return answer.status === 200 && answer.body
      })

    async function changeStatus(path: string): Promise<void> {
      const status = (message: string) => ({
        conditions: [
          {
            type: 'example-condition',
            status: 'True',
            lastTransitionTime: '2026-01-01T00:00:00Z',
            reason: 'e2e',
            message,
          },
        ],
      })
      const messageOf = (object: unknown) =>
        (at(object, 'status.conditions') as { type: string; message: string }[] | undefined)?.find(
          one => one.type === 'example-condition',
        )?.message
      const patched = await suite.ok('PATCH', `${path}/status`, { status: status('patched') }, 'merge')
      assert.equal(messageOf(patched), 'patched')
      const updated = await replaced(`${path}/status`, fresh => ({ ...fresh, status: status('updated') }))
      assert.equal(messageOf(updated), 'updated')
    }
  })
})
