/** What Kubernetes' conformance asks of discovery, in both forms, and of /version. */
import assert from 'node:assert/strict'
import test, { after, before, describe } from 'node:test'
import { at, type Suite, startSuite } from '../support/conformance.ts'
import { until } from '../support/until.ts'

const AGGREGATED = 'application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList'

/** A resource of every group, by the version that must be there. */
const EXPECTED: readonly (readonly [group: string, version: string, resource: string])[] = [
  ['admissionregistration.k8s.io', 'v1', 'validatingwebhookconfigurations'],
  ['apiextensions.k8s.io', 'v1', 'customresourcedefinitions'],
  ['apiregistration.k8s.io', 'v1', 'apiservices'],
  ['apps', 'v1', 'deployments'],
  ['authentication.k8s.io', 'v1', 'tokenreviews'],
  ['authorization.k8s.io', 'v1', 'selfsubjectaccessreviews'],
  ['autoscaling', 'v1', 'horizontalpodautoscalers'],
  ['autoscaling', 'v2', 'horizontalpodautoscalers'],
  ['batch', 'v1', 'jobs'],
  ['certificates.k8s.io', 'v1', 'certificatesigningrequests'],
  ['coordination.k8s.io', 'v1', 'leases'],
  ['discovery.k8s.io', 'v1', 'endpointslices'],
  ['events.k8s.io', 'v1', 'events'],
  ['flowcontrol.apiserver.k8s.io', 'v1', 'flowschemas'],
  ['networking.k8s.io', 'v1', 'ingresses'],
  ['node.k8s.io', 'v1', 'runtimeclasses'],
  ['policy', 'v1', 'poddisruptionbudgets'],
  ['rbac.authorization.k8s.io', 'v1', 'clusterroles'],
  ['scheduling.k8s.io', 'v1', 'priorityclasses'],
  ['storage.k8s.io', 'v1', 'storageclasses'],
]

interface GroupDiscovery {
  readonly metadata: { readonly name?: string }
  readonly versions: readonly {
    readonly version: string
    readonly freshness: string
    readonly resources: readonly { readonly resource: string; readonly verbs: readonly string[] }[]
  }[]
}

interface Group {
  readonly name: string
  readonly versions: readonly { readonly groupVersion: string; readonly version: string }[]
  readonly preferredVersion: { readonly groupVersion: string; readonly version: string }
}

const definition = (plural: string, kind: string) => ({
  apiVersion: 'apiextensions.k8s.io/v1',
  kind: 'CustomResourceDefinition',
  metadata: { name: `${plural}.discovery.example.com` },
  spec: {
    group: 'discovery.example.com',
    scope: 'Namespaced',
    names: { plural, singular: kind.toLowerCase(), kind, listKind: `${kind}List` },
    versions: [
      {
        name: 'v1',
        served: true,
        storage: true,
        schema: { openAPIV3Schema: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true } },
      },
    ],
  },
})
const DEFINITIONS = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions'

describe('discovery', () => {
  let suite: Suite
  before(async () => {
    suite = await startSuite()
  })
  after(() => suite?.cluster.remove())

  const aggregated = async (path: string, accept = AGGREGATED) => {
    const answer = await suite.api(path, { headers: { accept } })
    assert.equal(answer.status, 200)
    return answer
  }
  const groupsAt = async (path: string) => (await aggregated(path)).body['items'] as GroupDiscovery[]
  const resourcesOf = (groups: readonly GroupDiscovery[], group: string, version: string) =>
    groups
      .find(one => (one.metadata.name ?? '') === group)
      ?.versions.find(one => one.version === version)
      ?.resources.map(one => one.resource)
  const listed = async () => (await suite.kubectl.ok(['api-resources', '-o', 'name'])).split('\n')
  const groups = async () => (await suite.ok('GET', '/apis'))['groups'] as Group[]

  test('AggregatedDiscovery should support raw aggregated discovery endpoint Accept headers', async () => {
    for (const path of ['/api', '/apis']) {
      const { body, headers } = await aggregated(path)
      assert.equal(headers['content-type'], AGGREGATED)
      assert.match(String(headers['vary']), /Accept/)
      assert.deepEqual([body['apiVersion'], body.kind], ['apidiscovery.k8s.io/v2', 'APIGroupDiscoveryList'])
      const fallback = await aggregated(path, `${AGGREGATED},application/json;q=0.9`)
      assert.equal(fallback.body.kind, 'APIGroupDiscoveryList')
      const plain = await aggregated(path, 'application/json')
      assert.equal(plain.body.kind, path === '/api' ? 'APIVersions' : 'APIGroupList')
    }
    const apis = await groupsAt('/apis')
    for (const [group, version, resource] of EXPECTED) {
      assert.ok(resourcesOf(apis, group, version)?.includes(resource), `${group}/${version} ${resource}`)
    }
    for (const { versions } of apis) for (const { freshness } of versions) assert.equal(freshness, 'Current')
    assert.ok(resourcesOf(await groupsAt('/api'), '', 'v1')?.includes('pods'))
  })

  test('AggregatedDiscovery should support raw aggregated discovery request for CRDs', async () => {
    await suite.ok('POST', DEFINITIONS, definition('rawthings', 'RawThing'))
    const shows = async () =>
      resourcesOf(await groupsAt('/apis'), 'discovery.example.com', 'v1')?.includes('rawthings') ?? false
    await until('the resource is in the aggregated discovery', shows)
    await suite.ok('DELETE', `${DEFINITIONS}/rawthings.discovery.example.com`)
    await until('it is not any more', async () => !(await shows()))
  })

  test('AggregatedDiscovery should support aggregated discovery interface', async () => {
    const names = await listed()
    for (const [group, , resource] of EXPECTED) assert.ok(names.includes(`${resource}.${group}`), resource)
    for (const resource of ['pods', 'services', 'namespaces', 'replicationcontrollers']) {
      assert.ok(names.includes(resource), resource)
    }
  })

  test('AggregatedDiscovery should support aggregated discovery interface for CRDs', async () => {
    await suite.ok('POST', DEFINITIONS, definition('ifacethings', 'IfaceThing'))
    const name = 'ifacethings.discovery.example.com'
    await until('kubectl finds the resource', async () => (await listed()).includes(name))
    await suite.ok('DELETE', `${DEFINITIONS}/${name}`)
    await until('kubectl does not find it any more', async () => !(await listed()).includes(name))
  })

  test('Discovery should validate PreferredVersion for each APIGroup', async () => {
    const all = await groups()
    assert.ok(all.length > 0)
    for (const { name, versions, preferredVersion } of all) {
      const group = (await suite.ok('GET', `/apis/${name}`)) as unknown as Group
      assert.equal(group.name, name)
      assert.ok(group.versions.length > 0)
      assert.deepEqual(group.preferredVersion, preferredVersion)
      assert.ok(versions.some(one => one.groupVersion === preferredVersion.groupVersion))
      assert.equal(preferredVersion.groupVersion, `${name}/${preferredVersion.version}`)
    }
  })

  test('Discovery should locate the groupVersion and a resource within each APIGroup', async () => {
    const all = await groups()
    for (const [name, version, resource] of EXPECTED) {
      const group = all.find(one => one.name === name)
      assert.ok(
        group?.versions.some(one => one.version === version),
        `${name}/${version}`,
      )
      const list = await suite.ok('GET', `/apis/${name}/${version}`)
      assert.equal(list['groupVersion'], `${name}/${version}`)
      const resources = list['resources'] as { name: string; kind: string; verbs: string[] }[]
      assert.ok(resources.find(one => one.name === resource && one.verbs.length > 0 && one.kind !== ''))
    }
  })

  test('server version should find the server version', async () => {
    const version = await suite.ok('GET', '/version')
    assert.match(String(at(version, 'major')), /^\d+$/)
    assert.match(String(at(version, 'minor')), /^\d+$/)
    const fields = [
      'gitVersion',
      'gitCommit',
      'gitTreeState',
      'buildDate',
      'goVersion',
      'compiler',
      'platform',
    ]
    for (const field of fields) assert.equal(typeof at(version, field), 'string', field)
  })
})
