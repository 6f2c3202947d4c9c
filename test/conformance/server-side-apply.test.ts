/** Server-side apply with the real kubectl: owners, conflicts, force, removal, and the way from client-side apply. */
import assert from 'node:assert/strict'
import test, { after, before, describe } from 'node:test'
import { installCluster, type TestCluster } from '../support/cluster.ts'
import type { Kubectl } from '../support/kubectl.ts'

const map = (data: Record<string, string>, name = 'settings'): string =>
  JSON.stringify({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name }, data })

const deployment = (replicas: number, image: string): string => `
apiVersion: apps/v1
kind: Deployment
metadata:
  name: served
spec:
  replicas: ${replicas}
  selector:
    matchLabels: { app: served }
  template:
    metadata:
      labels: { app: served }
    spec:
      containers:
      - name: web
        image: ${image}
        ports:
        - containerPort: 8080
`

interface Entry {
  readonly manager: string
  readonly operation: string
  readonly subresource?: string
  readonly fieldsV1: Readonly<Record<string, unknown>>
}

describe('kubectl apply --server-side', () => {
  let cluster: TestCluster
  let kubectl: Kubectl
  before(async () => {
    cluster = await installCluster()
    kubectl = cluster.kubectl
  })
  after(() => cluster.remove())

  const applyAs = (manager: string, input: string, ...more: string[]) =>
    kubectl.try(['apply', '--server-side', `--field-manager=${manager}`, ...more, '-f', '-'], { input })
  const read = async (...resource: string[]) =>
    JSON.parse(await kubectl.ok(['get', ...resource, '-o', 'json', '--show-managed-fields']))
  const entries = async (...resource: string[]): Promise<Entry[]> =>
    (await read(...resource)).metadata.managedFields ?? []

  test('apply creates, owns what it says, and repeats without a write', async () => {
    const created = await applyAs('team-a', map({ colour: 'red', size: 'big' }))
    assert.equal(created.stdout, 'configmap/settings serverside-applied\n')
    const first = await read('cm', 'settings')
    assert.deepEqual(
      first.metadata.managedFields.map(({ manager, operation, fieldsV1 }: Entry) => [
        manager,
        operation,
        fieldsV1,
      ]),
      [['team-a', 'Apply', { 'f:data': { 'f:colour': {}, 'f:size': {} } }]],
    )
    await applyAs('team-a', map({ colour: 'red', size: 'big' }))
    assert.deepEqual(await read('cm', 'settings'), first)
    assert.doesNotMatch(await kubectl.ok(['get', 'cm', 'settings', '-o', 'yaml']), /managedFields/)
  })

  test('another value of a field that somebody owns is a conflict until it is forced', async () => {
    const refused = await applyAs('team-b', map({ colour: 'blue' }))
    assert.equal(refused.code, 1)
    assert.match(
      refused.stderr,
      /Apply failed with 1 conflict: conflict with "team-a": \.data\.colour\n[\s\S]*--force-conflicts/,
    )
    const forced = await applyAs('team-b', map({ colour: 'blue' }), '--force-conflicts')
    assert.equal(forced.code, 0)
    assert.deepEqual(
      (await entries('cm', 'settings')).map(one => [one.manager, one.fieldsV1]),
      [
        ['team-a', { 'f:data': { 'f:size': {} } }],
        ['team-b', { 'f:data': { 'f:colour': {} } }],
      ],
    )
  })

  test('what a manager does not apply any more goes, what others own stays', async () => {
    await applyAs('team-a', map({ weight: 'light' }))
    assert.deepEqual((await read('cm', 'settings')).data, { colour: 'blue', weight: 'light' })
    await applyAs('team-b', map({}))
    assert.deepEqual((await read('cm', 'settings')).data, { weight: 'light' })
  })

  test('a scaled deployment conflicts with the replicas of its manifest', async () => {
    await applyAs('team-a', deployment(1, 'sh'))
    await kubectl.ok(['scale', 'deployment/served', '--replicas=2'])
    const scaler = (await entries('deploy', 'served')).find(one => one.subresource === 'scale')
    assert.deepEqual(scaler?.fieldsV1, { 'f:spec': { 'f:replicas': {} } })
    const refused = await applyAs('team-a', deployment(3, 'sh'))
    assert.match(
      refused.stderr,
      /conflict with "kubectl" with subresource "scale" using apps\/v1: \.spec\.replicas/,
    )
    await applyAs('team-a', deployment(0, 'sh'), '--force-conflicts')
    assert.equal((await read('deploy', 'served')).spec.replicas, 0)
  })

  test('several conflicts are listed by owner, a dry run changes nothing', async () => {
    await kubectl.ok(['set', 'image', 'deployment/served', 'web=other', '--field-manager=robot'])
    const refused = await applyAs('team-b', deployment(4, 'mine'))
    assert.match(refused.stderr, /Apply failed with 2 conflicts: conflicts with "robot" using apps\/v1:/)
    assert.match(refused.stderr, /\nconflicts with "team-a":\n- \.spec\.replicas/)
    assert.match(refused.stderr, /\n- \.spec\.template\.spec\.containers\[name="web"\]\.image/)
    const before = await read('deploy', 'served')
    await applyAs('team-b', deployment(4, 'mine'), '--force-conflicts', '--dry-run=server')
    const after = await read('deploy', 'served')
    assert.deepEqual(after.spec, before.spec)
  })

  test('unknown fields are refused', async () => {
    const refused = await applyAs('team-a', map({}).replace('"data"', '"dada"'))
    assert.equal(refused.code, 1)
    assert.match(refused.stderr, /unknown field "dada"|\.dada: field not declared in schema/)
  })

  test('what client-side apply made goes on with server-side apply, and back', async () => {
    const plain = (data: Record<string, string>) => map(data, 'moved')
    await kubectl.ok(['apply', '-f', '-'], { input: plain({ a: '1', b: '1' }) })
    assert.deepEqual(
      (await entries('cm', 'moved')).map(one => [one.manager, one.operation]),
      [['kubectl-client-side-apply', 'Update']],
    )
    await kubectl.ok(['apply', '--server-side', '-f', '-'], { input: plain({ a: '2' }) })
    const moved = await read('cm', 'moved')
    assert.deepEqual(moved.data, { a: '2' })
    assert.deepEqual(
      moved.metadata.managedFields.map((one: Entry) => [one.manager, one.operation]),
      [
        ['kubectl', 'Apply'],
        // kubectl's own owner of the annotation.
        ['kubectl-last-applied', 'Apply'],
      ],
    )
    const annotation = moved.metadata.annotations['kubectl.kubernetes.io/last-applied-configuration']
    assert.deepEqual(JSON.parse(annotation).data, { a: '2' })
    await kubectl.ok(['apply', '-f', '-'], { input: plain({ a: '3' }) })
    assert.deepEqual((await read('cm', 'moved')).data, { a: '3' })
  })

  test('kubectl diff and edit work with it', async () => {
    const diff = await kubectl.try(['diff', '--server-side', '--field-manager=team-a', '-f', '-'], {
      input: map({ weight: 'heavy' }),
    })
    assert.equal(diff.code, 1)
    assert.match(diff.stdout, /-\s+weight: light\n\+\s+weight: heavy/)
  })
})
