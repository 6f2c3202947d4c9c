/** Definitions of the shapes that well-known projects use install by kubectl, by server-side apply and by helm. */
import assert from 'node:assert/strict'
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import test, { after, before, describe } from 'node:test'
import { temporaryDirectory } from '../support/cluster.ts'
import { at, type Suite, startSuite } from '../support/conformance.ts'
import { HELM, run } from '../support/kubectl.ts'
import { largeDefinition, PROJECT_DEFINITIONS } from '../support/project-definitions.ts'

const LARGE_BYTES = 500 * 1024

/** Where the instances of a definition are, in its first version. */
function pathOf(definition: object): string {
  const [group, version] = [at(definition, 'spec.group'), at(definition, 'spec.versions.0.name')]
  const place = at(definition, 'spec.scope') === 'Cluster' ? '' : '/namespaces/default'
  return `/apis/${String(group)}/${String(version)}${place}/${String(at(definition, 'spec.names.plural'))}`
}

describe('definitions of the shapes that projects use', () => {
  let suite: Suite
  before(async () => {
    suite = await startSuite()
  })
  after(() => suite.cluster.remove())

  const feed = (args: readonly string[], ...objects: object[]) =>
    suite.kubectl.try([...args, '-f', '-'], { input: objects.map(one => JSON.stringify(one)).join('\n') })
  const fed = async (args: readonly string[], ...objects: object[]): Promise<string> => {
    const ran = await feed(args, ...objects)
    assert.equal(ran.code, 0, ran.stderr)
    return ran.stdout
  }
  const established = (name: string) =>
    suite.kubectl.ok(['wait', '--for=condition=Established', `crd/${name}`, '--timeout=120s'])

  for (const [project, { definition, instance, filled, refused }] of Object.entries(PROJECT_DEFINITIONS)) {
    test(`${project}: applied from both sides, the instance is completed, and bad ones are refused`, async () => {
      const { name } = definition.metadata
      assert.match(await fed(['apply'], definition), /created/)
      await established(name)
      assert.match(await fed(['apply'], definition), /unchanged/)
      assert.match(
        await fed(['apply', '--server-side', '--force-conflicts'], definition),
        /serverside-applied/,
      )
      const made = JSON.parse(await fed(['apply', '--validate=strict', '-o', 'json'], instance)) as object
      for (const [path, value] of Object.entries(filled)) assert.deepEqual(at(made, path), value, path)
      await fed(['apply'], instance)
      await fed(['apply', '--server-side', '--force-conflicts', '--validate=strict'], instance)
      const path = pathOf(definition)
      const live = await suite.ok('GET', `${path}/sample`)
      assert.equal(at(live, 'metadata.generation'), 1)
      for (const [change, why] of refused) {
        const bad = { ...live, spec: { ...instance.spec, ...change } }
        const put = await suite.refused('PUT', `${path}/sample`, bad)
        assert.match(String(put.body.message), why)
        const merged = await suite.refused('PATCH', `${path}/sample`, { spec: change }, 'merge')
        assert.match(String(merged.body.message), why)
      }
      await suite.ok('PATCH', `${path}/sample`, { metadata: { finalizers: null } }, 'merge')
      await suite.kubectl.ok(['delete', `crd/${name}`, '--timeout=120s'])
    })
  }

  test('a definition of 500 KiB is too long for the annotation of kubectl apply, and fine for the server', async () => {
    const large = largeDefinition(LARGE_BYTES)
    const { name } = large.metadata
    const ran = await feed(['apply'], large)
    assert.match(ran.stderr, /metadata\.annotations: Too long: may not be more than 262144 bytes/)
    await fed(['apply', '--server-side'], large)
    await established(name)
    await fed(['replace'], large)
    assert.match(
      await suite.kubectl.ok(['explain', 'platforms.spec.part0.field0.field0']),
      /field1\s+<\[\]string>/,
    )
    const spec = { part0: { terms: [{ key: 'a', operator: 'In', values: ['b'] }] } }
    await fed(['create', '--validate=strict'], {
      apiVersion: 'large.example.com/v1',
      kind: 'Platform',
      metadata: { name: 'one' },
      spec,
    })
    await suite.kubectl.ok(['delete', `crd/${name}`, '--timeout=120s'])
  })

  test('helm installs charts whose definitions are in crds/ and whose instances are templates', async () => {
    const chart = temporaryDirectory()
    for (const folder of ['crds', 'templates']) mkdirSync(join(chart, folder))
    writeFileSync(join(chart, 'Chart.yaml'), 'apiVersion: v2\nname: platform\nversion: 0.1.0\n')
    for (const [project, { definition, instance }] of Object.entries(PROJECT_DEFINITIONS)) {
      writeFileSync(join(chart, `crds/${project}.yaml`), JSON.stringify(definition))
      writeFileSync(join(chart, `templates/${project}.yaml`), JSON.stringify(instance))
    }
    const env = { KUBECONFIG: suite.cluster.kubeconfig }
    const helm = async (...args: string[]): Promise<void> => {
      const ran = await run(HELM, args, { env })
      assert.equal(ran.code, 0, ran.stderr)
    }
    await helm('install', 'one', chart, '--wait', '--timeout', '60s')
    await helm('upgrade', 'one', chart, '--set', 'any=1')
    assert.match(await suite.kubectl.ok(['get', 'cert']), /NAME\s+READY\s+SECRET\s+AGE\nsample\s+web-tls/)
    assert.equal(
      await suite.kubectl.ok(['get', 'composed', '-o', 'name']),
      'composition.compose.example.com/sample\n',
    )
    await suite.kubectl.ok([
      'patch',
      'applications.delivery.example.com',
      'sample',
      '--type=merge',
      '-p',
      '{"metadata":{"finalizers":null}}',
    ])
    await helm('uninstall', 'one', '--wait')
    assert.equal(await suite.kubectl.ok(['get', 'cert,vs,gtw,coll,composed', '-o', 'name']), '')
    rmSync(chart, { recursive: true })
  })
})
