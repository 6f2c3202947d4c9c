/** The plans behind aggregation, by table: the order of versions, registration, availability, merged discovery. */
import assert from 'node:assert/strict'
import test from 'node:test'
import type { KubeObject } from '../../../../../src/kube/object.ts'
import {
  compareVersions,
  indexOf,
  remoteServiceOf,
} from '../../../../../src/runtime/apiserver/aggregation/api-services.ts'
import {
  availabilityOf,
  withAvailability,
} from '../../../../../src/runtime/apiserver/aggregation/availability.ts'
import {
  mergedDiscovery,
  mergedGroup,
  mergedGroupList,
  versionFromList,
} from '../../../../../src/runtime/apiserver/aggregation/discovery.ts'
import { headersFor } from '../../../../../src/runtime/apiserver/aggregation/proxy.ts'
import {
  customVersions,
  planRegistration,
} from '../../../../../src/runtime/apiserver/aggregation/registration.ts'
import { named, readerOf } from '../object-reader.ts'

const apiService = (group: string, version: string, spec: object = {}): KubeObject => ({
  apiVersion: 'apiregistration.k8s.io/v1',
  kind: 'APIService',
  metadata: { name: `${version}.${group}` },
  spec: { group, version, groupPriorityMinimum: 100, versionPriority: 10, ...spec },
})
const service = { service: { namespace: 'dev', name: 's' } }

test('versions are compared as Kubernetes does: stable, beta, alpha, then the rest', () => {
  const wanted = [
    'v10',
    'v2',
    'v1',
    'v11beta2',
    'v10beta3',
    'v3beta1',
    'v12alpha1',
    'v11alpha2',
    'foo1',
    'foo10',
  ]
  assert.deepEqual(
    [...wanted].reverse().sort((a, b) => compareVersions(b, a)),
    wanted,
  )
})

test('what is served here is registered, put right at a start, and taken away with its definition', () => {
  const builtIn = [
    { group: '', version: 'v1' },
    { group: 'apps', version: 'v1' },
    { group: 'apps', version: 'v1' },
    { group: 'apiregistration.k8s.io', version: 'v1' },
  ]
  const none = { builtIn, custom: [], present: [], isStart: true }
  const made = planRegistration(none)
  const objects = made.flatMap(one => (one.kind === 'create' ? [one.object] : []))
  assert.deepEqual(
    objects.map(one => one.metadata.name),
    ['v1.', 'v1.apps'],
  )
  assert.deepEqual(planRegistration({ ...none, present: objects }), [])
  const changed = objects.map(one => ({ ...one, spec: { ...(one['spec'] as object), versionPriority: 7 } }))
  assert.deepEqual(
    planRegistration({ ...none, present: changed }).map(one => one.kind),
    ['update', 'update'],
  )
  assert.deepEqual(planRegistration({ ...none, present: changed, isStart: false }), [])
  const custom = customVersions([definition('True'), definition('False', 'others')])
  assert.deepEqual(custom, [{ group: 'example.com', version: 'v1' }])
  const [added] = planRegistration({ ...none, present: objects, custom })
  assert.ok(added?.kind === 'create')
  const all = [...objects, added.object]
  assert.deepEqual(planRegistration({ ...none, present: all }), [{ kind: 'delete', name: 'v1.example.com' }])
})

test('what is switched off has no APIService, unless somebody else serves it', () => {
  let on = true
  const metrics = { group: 'metrics.k8s.io', version: 'v1beta1', isOptional: true, isOn: () => on }
  const facts = { builtIn: [metrics], custom: [], present: [] as KubeObject[], isStart: true }
  const [made] = planRegistration(facts)
  assert.ok(made?.kind === 'create')
  on = false
  assert.deepEqual(planRegistration(facts), [])
  const name = 'v1beta1.metrics.k8s.io'
  assert.deepEqual(planRegistration({ ...facts, present: [made.object] }), [{ kind: 'delete', name }])
  const foreign = apiService('metrics.k8s.io', 'v1beta1', service)
  assert.deepEqual(planRegistration({ ...facts, present: [foreign] }), [])
})

const definition = (established: string, plural = 'things'): KubeObject => ({
  ...named('CustomResourceDefinition', `${plural}.example.com`),
  spec: {
    group: established === 'True' ? 'example.com' : 'other.com',
    versions: [
      { name: 'v1', served: true },
      { name: 'v2', served: false },
    ],
  },
  status: { conditions: [{ type: 'Established', status: established }] },
})

test('availability is told in the words of kube-apiserver', async () => {
  const remote = remoteServiceOf(apiService('g.io', 'v1', service))
  assert.ok(remote)
  const port = (number: number) => named('Service', 's', 'dev', { spec: { ports: [{ port: number }] } })
  const slice = (addresses: string[]) => ({
    ...named('EndpointSlice', 's-1', 'dev', { endpoints: [{ addresses }], ports: [{ port: 8443 }] }),
    metadata: { name: 's-1', namespace: 'dev', labels: { 'kubernetes.io/service-name': 's' } },
  })
  const ok = async () => 200
  const check = async (objects: Record<string, KubeObject[]>, ask: () => Promise<number> = ok) => {
    const found = await availabilityOf(remote, readerOf(objects), ask)
    return [found.status, found.reason, found.message]
  }
  const services = '/services'
  const slices = 'discovery.k8s.io/endpointslices'
  assert.deepEqual(await check({}), ['False', 'ServiceNotFound', 'service/s in "dev" is not present'])
  assert.deepEqual(await check({ [services]: [port(80)] }), [
    'False',
    'ServicePortError',
    'service/s in "dev" is not listening on port 443',
  ])
  assert.equal((await check({ [services]: [port(443)] }))[1], 'EndpointsNotFound')
  assert.equal((await check({ [services]: [port(443)], [slices]: [slice([])] }))[1], 'MissingEndpoints')
  const whole = { [services]: [port(443)], [slices]: [slice(['10.1.0.1'])] }
  assert.deepEqual(await check(whole), ['True', 'Passed', 'all checks passed'])
  const url = 'https://s.dev.svc:443/apis/g.io/v1'
  assert.deepEqual(await check(whole, async () => 403), [
    'False',
    'FailedDiscoveryCheck',
    `failing or missing response from ${url}: bad status from ${url}: 403`,
  ])
})

test('a condition is written when it says something else, and keeps the time of its status', () => {
  const passed = { status: 'True', reason: 'Passed', message: 'all checks passed' } as const
  const first = withAvailability(apiService('g.io', 'v1', service), passed, 'then')
  assert.ok(first)
  assert.equal(withAvailability(first, passed, 'now'), null)
  const other = withAvailability(first, { ...passed, message: 'other' }, 'now') as unknown as {
    status: { conditions: { lastTransitionTime: string }[] }
  }
  assert.equal(other.status.conditions[0]?.lastTransitionTime, 'then')
})

test('remote groups and versions stand where their priorities say', () => {
  const index = indexOf([
    apiService('apps', 'v1', { groupPriorityMinimum: 17_800 }),
    apiService('late.io', 'v1', { ...service, groupPriorityMinimum: 10 }),
    apiService('both.io', 'v1', { groupPriorityMinimum: 1_000, versionPriority: 10 }),
    apiService('both.io', 'v2', { ...service, groupPriorityMinimum: 900, versionPriority: 20 }),
  ])
  const plain = (name: string) => ({ name, versions: [{ groupVersion: `${name}/v1`, version: 'v1' }] })
  const list = mergedGroupList(index, { groups: [plain('both.io'), plain('apps')] }) as {
    groups: { name: string; versions: { version: string }[] }[]
  }
  assert.deepEqual(
    list.groups.map(one => one.name),
    ['apps', 'both.io', 'late.io'],
  )
  assert.equal(mergedGroup(index, 'both.io', plain('both.io'))?.preferredVersion?.version, 'v2')
  const resources = [
    { name: 'things', singularName: 'thing', namespaced: true, kind: 'Thing', verbs: ['get'] },
    { name: 'things/status', kind: 'Thing', verbs: ['get'] },
  ]
  const late = remoteServiceOf(apiService('late.io', 'v1', service))
  assert.ok(late)
  const discovered = new Map([['late.io/v1', versionFromList({ resources }, late)]])
  const local = { items: [{ metadata: { name: 'apps' }, versions: [{ version: 'v1' }] }] }
  const merged = mergedDiscovery(index, local, discovered) as {
    items: { metadata: { name: string }; versions: { version: string; freshness?: string }[] }[]
  }
  assert.deepEqual(
    merged.items.map(one => one.metadata.name),
    ['apps', 'both.io', 'late.io'],
  )
  assert.deepEqual(merged.items[1]?.versions, [{ version: 'v2', freshness: 'Stale' }])
  assert.deepEqual(merged.items[2]?.versions[0], {
    version: 'v1',
    freshness: 'Current',
    resources: [
      {
        resource: 'things',
        responseKind: { group: 'late.io', version: 'v1', kind: 'Thing' },
        scope: 'Namespaced',
        singularResource: 'thing',
        verbs: ['get'],
        subresources: [
          {
            subresource: 'status',
            responseKind: { group: 'late.io', version: 'v1', kind: 'Thing' },
            verbs: ['get'],
          },
        ],
      },
    ],
  })
})

test('who the user is comes from here, and nothing that a client says of it passes', () => {
  const headers = headersFor(
    {
      method: 'GET',
      path: '/',
      headers: {
        accept: 'application/json',
        authorization: 'Bearer secret',
        'x-remote-user': 'root',
        'x-remote-extra-a': 'b',
        'impersonate-user': 'root',
        connection: 'keep-alive',
      },
    },
    { username: 'jane', uid: '7', groups: ['a', 'b'], extra: { 'Scopes/x': ['1', '2'] } },
  )
  assert.deepEqual(headers, {
    accept: 'application/json',
    'x-remote-user': 'jane',
    'x-remote-uid': '7',
    'x-remote-group': ['a', 'b'],
    'x-remote-extra-scopes%2fx': ['1', '2'],
  })
})
