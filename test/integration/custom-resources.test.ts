/**
 * Custom resources with the real kubectl and a real daemon. The names of the tests are those of the conformance
 * behaviours of sig-api-machinery.
 */
import assert from 'node:assert/strict'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import test, { after, before, describe } from 'node:test'
import { apiFor } from '../support/api.ts'
import { installCluster, type TestCluster, temporaryDirectory } from '../support/cluster.ts'
import { HELM, type Kubectl, kubectlFor, run } from '../support/kubectl.ts'
import { until } from '../support/until.ts'

const anything = { type: 'object', 'x-kubernetes-preserve-unknown-fields': true }

interface Version {
  readonly name: string
  readonly [field: string]: unknown
}

interface Names {
  readonly group: string
  readonly plural: string
  readonly kind: string
  readonly scope?: string
}

const version = (name: string, over: object = {}): Version => ({
  name,
  served: true,
  storage: true,
  schema: { openAPIV3Schema: anything },
  ...over,
})

const definition = ({ group, plural, kind, scope = 'Namespaced' }: Names, versions = [version('v1')]) => ({
  apiVersion: 'apiextensions.k8s.io/v1',
  kind: 'CustomResourceDefinition',
  metadata: { name: `${plural}.${group}` },
  spec: { group, scope, names: { plural, kind }, versions },
})

describe('CustomResourceDefinition', () => {
  let cluster: TestCluster
  let kubectl: Kubectl

  before(async () => {
    cluster = await installCluster()
    kubectl = kubectlFor(cluster.kubeconfig)
  })
  after(() => cluster.remove())

  const apply = (...objects: object[]): Promise<string> =>
    kubectl.ok(['apply', '-f', '-'], { input: objects.map(one => JSON.stringify(one)).join('\n') })

  /** Applied and served. */
  async function define(names: Names, versions?: Version[]): Promise<string> {
    const made = definition(names, versions)
    await apply(made)
    await kubectl.ok(['wait', '--for=condition=Established', `crd/${made.metadata.name}`, '--timeout=120s'])
    return made.metadata.name
  }

  test('Custom Resource Definition, create', async () => {
    const name = await define({ group: 'create.example.com', plural: 'things', kind: 'Thing' })
    const made = (await kubectl.json(['get', 'crd', name])) as {
      status: { conditions: { type: string; status: string }[]; storedVersions: string[] }
    }
    const conditions = made.status.conditions.map(one => [one.type, one.status])
    assert.deepEqual(conditions, [
      ['NamesAccepted', 'True'],
      ['Established', 'True'],
    ])
    assert.deepEqual(made.status.storedVersions, ['v1'])
    await kubectl.ok(['delete', 'crd', name, '--timeout=120s'])
    assert.match((await kubectl.try(['get', 'crd', name])).stderr, /NotFound/)
  })

  test('the instances go with their definition', async () => {
    const name = await define({ group: 'gone.example.com', plural: 'things', kind: 'Thing' })
    await kubectl.ok(['create', 'namespace', 'gone'])
    const thing = { apiVersion: 'gone.example.com/v1', kind: 'Thing', metadata: { name: 'one' } }
    await apply(thing, { ...thing, metadata: { name: 'two', namespace: 'gone' } })
    await kubectl.ok(['delete', 'crd', name, '--timeout=120s'])
    await define({ group: 'gone.example.com', plural: 'things', kind: 'Thing' })
    assert.equal(await kubectl.ok(['get', 'things.gone.example.com', '-A', '-o', 'name']), '')
    await kubectl.ok(['delete', 'crd', name, '--timeout=120s'])
  })

  test('of clients that create the same definition at once one does, and all can use it', async () => {
    const made = definition({ group: 'race.example.com', plural: 'racers', kind: 'Racer' })
    const api = apiFor(cluster.kubeconfig)
    const path = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions'
    const answers = await Promise.all(Array.from({ length: 6 }, () => api(path, { body: made })))
    assert.deepEqual(answers.map(({ status }) => status).toSorted(), [201, 409, 409, 409, 409, 409])
    const applied = await Promise.all(
      [1, 2, 3].map(() => kubectl.try(['apply', '-f', '-'], { input: JSON.stringify(made) })),
    )
    assert.deepEqual(
      applied.map(({ code }) => code),
      [0, 0, 0],
    )
    await kubectl.ok(['wait', '--for=condition=Established', 'crd/racers.race.example.com', '--timeout=120s'])
    await apply({ apiVersion: 'race.example.com/v1', kind: 'Racer', metadata: { name: 'one' } })
    await kubectl.ok(['delete', 'crd', 'racers.race.example.com', '--timeout=120s'])
  })

  test('a definition that is deleted while others create instances leaves none of them', async () => {
    const names = { group: 'raced.example.com', plural: 'things', kind: 'Thing' }
    const name = await define(names)
    const api = apiFor(cluster.kubeconfig)
    const path = '/apis/raced.example.com/v1/namespaces/default/things'
    let isOver = false
    const seen = new Set<number>()
    const creator = async (creator: number): Promise<void> => {
      for (let index = 0; !isOver; index++) {
        const metadata = { name: `thing-${creator}-${index}`, finalizers: [] }
        const body = { apiVersion: 'raced.example.com/v1', kind: 'Thing', metadata }
        seen.add((await api(path, { body })).status)
      }
    }
    const creators = [1, 2, 3].map(creator)
    await until('instances are there', () => seen.has(201))
    await kubectl.ok(['delete', 'crd', name, '--timeout=120s'])
    await until('the group is gone', async () => (await api('/apis/raced.example.com/v1')).status === 404)
    isOver = true
    await Promise.all(creators)
    for (const status of seen) assert.ok([201, 404, 405].includes(status), `an instance is ${status}`)
    await define(names)
    assert.equal(await kubectl.ok(['get', 'things.raced.example.com', '-A', '-o', 'name']), '')
    await kubectl.ok(['delete', 'crd', name, '--timeout=120s'])
  })

  test('a definition goes although none of its versions is served', async () => {
    const names = { group: 'unserved.example.com', plural: 'things', kind: 'Thing' }
    const name = await define(names)
    await apply({ apiVersion: 'unserved.example.com/v1', kind: 'Thing', metadata: { name: 'one' } })
    await apply(definition(names, [version('v1', { served: false })]))
    assert.equal((await kubectl.try(['get', '--raw', '/apis/unserved.example.com/v1/things'])).code, 1)
    await kubectl.ok(['delete', 'crd', name, '--timeout=120s'])
  })

  test('names that another definition has are not accepted before it goes', async () => {
    const first = definition({ group: 'names.example.com', plural: 'firsts', kind: 'Same' })
    const second = definition({ group: 'names.example.com', plural: 'seconds', kind: 'Same' })
    await apply(first)
    await kubectl.ok([
      'wait',
      '--for=condition=Established',
      'crd/firsts.names.example.com',
      '--timeout=120s',
    ])
    await apply(second)
    const crd = 'crd/seconds.names.example.com'
    await kubectl.ok(['wait', '--for=condition=NamesAccepted=False', crd, '--timeout=120s'])
    const path = '{.status.conditions[?(@.type=="NamesAccepted")].reason}'
    assert.match(await kubectl.ok(['get', crd, '-o', `jsonpath=${path}`]), /KindConflict/)
    await kubectl.ok(['delete', 'crd', 'firsts.names.example.com', '--timeout=120s'])
    await kubectl.ok(['wait', '--for=condition=Established', crd, '--timeout=120s'])
    await kubectl.ok(['delete', crd, '--timeout=120s'])
  })

  test('Custom Resource Definition, list: only labeled ones are listed and deleted', async () => {
    const labeled = [1, 2, 3].map(index => ({
      ...definition({ group: 'list.example.com', plural: `labeled${index}`, kind: `Labeled${index}` }),
      metadata: { name: `labeled${index}.list.example.com`, labels: { set: 'yes' } },
    }))
    await apply(...labeled, definition({ group: 'list.example.com', plural: 'others', kind: 'Other' }))
    const listed = await kubectl.ok(['get', 'crd', '-l', 'set=yes', '-o', 'name'])
    assert.equal(listed.trim().split('\n').length, 3)
    await kubectl.ok(['delete', 'crd', '-l', 'set=yes', '--timeout=120s'])
    assert.match(await kubectl.ok(['get', 'crd', '-o', 'name']), /others\.list\.example\.com/)
    await kubectl.ok(['delete', 'crd', 'others.list.example.com', '--timeout=120s'])
  })

  test('Custom Resource Definition, status sub-resource', async () => {
    const name = await define({ group: 'status.example.com', plural: 'things', kind: 'Thing' })
    const condition = { type: 'StatusUpdate', status: 'True', reason: 'E2E', message: 'set by the test' }
    const path = `/apis/apiextensions.k8s.io/v1/customresourcedefinitions/${name}/status`
    const read = JSON.parse(await kubectl.ok(['get', '--raw', path])) as {
      status: { conditions: object[] }
    }
    read.status.conditions.push(condition)
    const input = JSON.stringify(read)
    await kubectl.ok(['replace', '--raw', path, '-f', '-'], { input })
    const patch = JSON.stringify({ status: { observedGeneration: 7 } })
    await kubectl.ok(['patch', 'crd', name, '--subresource=status', '--type=merge', '-p', patch])
    const after = await kubectl.ok(['get', 'crd', name, '-o', 'jsonpath={.status}'])
    assert.match(after, /StatusUpdate/)
    assert.match(after, /"observedGeneration":7/)
    await kubectl.ok(['delete', 'crd', name, '--timeout=120s'])
  })

  test('Custom Resource Definition, discovery', async () => {
    const groups = await kubectl.ok(['get', '--raw', '/apis'])
    assert.match(groups, /apiextensions\.k8s\.io/)
    const resources = await kubectl.ok(['get', '--raw', '/apis/apiextensions.k8s.io/v1'])
    assert.match(resources, /"name":"customresourcedefinitions"/)
  })

  test('Custom Resource Definition, watch: instances come, change and go', async () => {
    const name = await define({ group: 'watch.example.com', plural: 'noxus', kind: 'Noxu', scope: 'Cluster' })
    const path = '/apis/watch.example.com/v1/noxus'
    const { metadata } = JSON.parse(await kubectl.ok(['get', '--raw', path])) as {
      metadata: { resourceVersion: string }
    }
    await apply({ apiVersion: 'watch.example.com/v1', kind: 'Noxu', metadata: { name: 'a' } })
    await kubectl.ok(['label', 'noxu', 'a', 'x=y'])
    await kubectl.ok(['delete', 'noxu', 'a'])
    const from = `watch=true&resourceVersion=${metadata.resourceVersion}&timeoutSeconds=1`
    const seen = await kubectl.ok(['get', '--raw', `${path}?${from}`])
    const types = seen
      .trim()
      .split('\n')
      .map(line => (JSON.parse(line) as { type: string }).type)
    assert.deepEqual(types, ['ADDED', 'MODIFIED', 'DELETED'])
    await kubectl.ok(['delete', 'crd', name, '--timeout=120s'])
  })

  test('Custom Resource Definition, defaulting', async () => {
    const names = { group: 'default.example.com', plural: 'things', kind: 'Thing' }
    const withDefaults = (properties: object) => [
      version('v1', { schema: { openAPIV3Schema: { type: 'object', properties } } }),
    ]
    const plain = { a: { type: 'string' }, b: { type: 'string' } }
    const name = await define(names, withDefaults(plain))
    const thing = (of: string) => ({
      apiVersion: 'default.example.com/v1',
      kind: 'Thing',
      metadata: { name: of },
    })
    const fieldsOf = async (of: string): Promise<unknown> => {
      const { a, b } = (await kubectl.json(['get', 'things', of])) as { a?: string; b?: string }
      return { ...(a === undefined ? {} : { a }), ...(b === undefined ? {} : { b }) }
    }
    await apply(thing('old'))
    assert.deepEqual(await fieldsOf('old'), {})
    await apply(definition(names, withDefaults({ ...plain, a: { type: 'string', default: 'A' } })))
    assert.deepEqual(await fieldsOf('old'), { a: 'A' })
    await apply(thing('new'))
    await apply(definition(names, withDefaults({ ...plain, b: { type: 'string', default: 'B' } })))
    assert.deepEqual(await fieldsOf('new'), { a: 'A', b: 'B' })
    assert.deepEqual(await fieldsOf('old'), { b: 'B' })
    await kubectl.ok(['delete', 'crd', name, '--timeout=120s'])
  })

  test('CustomResourceFieldSelectors MUST list and watch custom resources matching the field selector', async () => {
    const schema = {
      type: 'object',
      properties: { host: { type: 'string' }, port: { type: 'string' } },
    }
    const selectableFields = [{ jsonPath: '.host' }, { jsonPath: '.port' }]
    const name = await define({ group: 'select.example.com', plural: 'ends', kind: 'End' }, [
      version('v1', { schema: { openAPIV3Schema: schema }, selectableFields }),
    ])
    const end = (of: string, host: string, port: string) => ({
      apiVersion: 'select.example.com/v1',
      kind: 'End',
      metadata: { name: of },
      host,
      port,
    })
    await apply(end('a', 'one', '80'), end('b', 'one', '8080'), end('c', 'two', '80'))
    const select = (fields: string) =>
      kubectl.ok(['get', 'ends', `--field-selector=${fields}`, '-o', 'jsonpath={.items[*].metadata.name}'])
    assert.equal(await select('host=one'), 'a b')
    assert.equal(await select('host=one,port=80'), 'a')
    const refused = await kubectl.try(['get', 'ends', '--field-selector=other=1'])
    assert.match(refused.stderr, /field label not supported: other/)
    await kubectl.ok(['delete', 'ends', '--field-selector=port=80'])
    assert.equal(await select('host=one'), 'b')
    await kubectl.ok(['delete', 'crd', name, '--timeout=120s'])
  })

  test('columns, short names, categories, scale and quota as for built-in kinds', async () => {
    const schema = {
      type: 'object',
      properties: {
        spec: { type: 'object', properties: { replicas: { type: 'integer' } } },
        status: anything,
      },
    }
    const versions = [
      version('v1', {
        schema: { openAPIV3Schema: schema },
        subresources: {
          status: {},
          scale: { specReplicasPath: '.spec.replicas', statusReplicasPath: '.status.replicas' },
        },
        additionalPrinterColumns: [
          { name: 'Wanted', type: 'integer', jsonPath: '.spec.replicas' },
          { name: 'Age', type: 'date', jsonPath: '.metadata.creationTimestamp' },
        ],
      }),
    ]
    const made = definition({ group: 'table.example.com', plural: 'widgets', kind: 'Widget' }, versions)
    Object.assign(made.spec.names, { shortNames: ['wg'], categories: ['gadgets'] })
    await apply(made)
    await kubectl.ok([
      'wait',
      '--for=condition=Established',
      'crd/widgets.table.example.com',
      '--timeout=120s',
    ])
    await kubectl.ok(['create', 'namespace', 'table'])
    await kubectl.ok(['create', 'quota', 'q', '-n', 'table', '--hard=count/widgets.table.example.com=1'])
    const widget = (of: string) => ({
      apiVersion: 'table.example.com/v1',
      kind: 'Widget',
      metadata: { name: of, namespace: 'table' },
      spec: { replicas: 2 },
    })
    await until('the quota counts', async () =>
      (await kubectl.ok(['get', 'quota', 'q', '-n', 'table', '-o', 'jsonpath={.status.used}'])).includes('0'),
    )
    await apply(widget('one'))
    const second = await kubectl.try(['apply', '-f', '-'], { input: JSON.stringify(widget('two')) })
    assert.match(second.stderr, /exceeded quota: q/)
    assert.match(await kubectl.ok(['get', 'wg', '-n', 'table']), /NAME\s+WANTED\s+AGE\none\s+2\s+\d+s/)
    assert.match(await kubectl.ok(['get', 'gadgets', '-n', 'table', '-o', 'name']), /widget\.table/)
    await kubectl.ok(['scale', 'widget/one', '-n', 'table', '--replicas=5'])
    assert.equal(
      await kubectl.ok(['get', 'wg', 'one', '-n', 'table', '-o', 'jsonpath={.spec.replicas}']),
      '5',
    )
    await kubectl.ok(['delete', 'namespace', 'table', '--timeout=120s'])
    assert.equal(await kubectl.ok(['get', 'wg', '-A', '-o', 'name']), '')
    await kubectl.ok(['delete', 'crd', 'widgets.table.example.com', '--timeout=120s'])
  })

  test('an instance owns others and is owned', async () => {
    const name = await define({ group: 'own.example.com', plural: 'owners', kind: 'Owner' })
    await apply({ apiVersion: 'own.example.com/v1', kind: 'Owner', metadata: { name: 'boss' } })
    const uid = await kubectl.ok(['get', 'owner', 'boss', '-o', 'jsonpath={.metadata.uid}'])
    const ownerReferences = [{ apiVersion: 'own.example.com/v1', kind: 'Owner', name: 'boss', uid }]
    await apply(
      { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'owned', ownerReferences } },
      { apiVersion: 'own.example.com/v1', kind: 'Owner', metadata: { name: 'child', ownerReferences } },
    )
    await kubectl.ok(['delete', 'owner', 'boss'])
    await until('what it owned goes', async () => {
      const left = await kubectl.ok(['get', 'configmaps,owners', '-o', 'name'])
      return !left.includes('owned') && !left.includes('child')
    })
    await kubectl.ok(['delete', 'crd', name, '--timeout=120s'])
  })

  test('helm installs a chart with crds', async () => {
    const chart = temporaryDirectory()
    for (const folder of ['crds', 'templates']) mkdirSync(join(chart, folder))
    const write = (path: string, text: string) => writeFileSync(join(chart, path), text)
    write('Chart.yaml', 'apiVersion: v2\nname: gizmos\nversion: 0.1.0\n')
    const crd = definition({ group: 'helm.example.com', plural: 'gizmos', kind: 'Gizmo' }, [
      version('v1', {
        schema: {
          openAPIV3Schema: {
            type: 'object',
            properties: { spec: { type: 'object', properties: { size: { type: 'integer' } } } },
          },
        },
      }),
    ])
    write('crds/gizmos.yaml', JSON.stringify(crd))
    const gizmo = {
      apiVersion: 'helm.example.com/v1',
      kind: 'Gizmo',
      metadata: { name: 'g' },
      spec: { size: 3 },
    }
    write('templates/gizmo.yaml', JSON.stringify(gizmo))
    const env = { KUBECONFIG: cluster.kubeconfig }
    const ran = await run(HELM, ['install', 'one', chart, '--wait', '--timeout', '60s'], { env })
    assert.equal(ran.code, 0, ran.stderr)
    assert.equal(await kubectl.ok(['get', 'gizmo', 'g', '-o', 'jsonpath={.spec.size}']), '3')
    assert.equal((await run(HELM, ['uninstall', 'one'], { env })).code, 0)
  })
})
