/** A server whose scheduler has two profiles and asks an extender, driven by kubectl. */
import assert from 'node:assert/strict'
import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { installCluster, type TestCluster, temporaryDirectory } from '../support/cluster.ts'
import { until } from '../support/until.ts'
import { type Review, startWebhookServer, type WebhookServer } from '../support/webhook-server.ts'

const configOf = (extender: Pick<WebhookServer, 'url' | 'caBundle'>) => `
apiVersion: kubescheduler.config.k8s.io/v1
kind: KubeSchedulerConfiguration
podMaxBackoffSeconds: 5
profiles:
- schedulerName: default-scheduler
- schedulerName: careless
  plugins:
    filter:
      disabled: [{ name: NodeResourcesFit }]
    score:
      disabled: [{ name: "*" }]
extenders:
- urlPrefix: ${extender.url}
  enableHTTPS: true
  tlsConfig: { caData: ${extender.caBundle} }
  filterVerb: filter
  bindVerb: bind
  nodeCacheCapable: true
  managedResources:
  - { name: example.com/color, ignoredByScheduler: true }
`
let cluster: TestCluster
let extender: WebhookServer
const bound: string[] = []
const directory = temporaryDirectory()

before(async () => {
  extender = await startWebhookServer(async (path, body) => {
    if (path === '/bind') return { body: await bind(body) }
    const { Pod, NodeNames } = body
    if (Pod.metadata.name === 'grey') return { body: { FailedNodes: { 'node-1': 'node(s) had no colour' } } }
    return { body: Pod.metadata.name === 'odd' ? { Error: 'out of colours' } : { NodeNames } }
  })
  const file = join(directory, 'scheduler.yaml')
  writeFileSync(file, configOf(extender))
  cluster = await installCluster({ args: ['--scheduler-config', file] })
})
/** As a kubectl of the extender's. */
async function bind({ PodName, PodNamespace, PodUID, Node }: Review): Promise<object> {
  const metadata = { name: PodName, namespace: PodNamespace, uid: PodUID }
  const target = { apiVersion: 'v1', kind: 'Node', name: Node }
  const file = join(directory, 'binding.json')
  writeFileSync(file, JSON.stringify({ apiVersion: 'v1', kind: 'Binding', metadata, target }))
  const path = `/api/v1/namespaces/${PodNamespace}/pods/${PodName}/binding`
  await cluster.kubectl.ok(['create', '--raw', path, '-f', file])
  bound.push(PodName)
  return {}
}
after(async () => {
  await extender?.close()
  await cluster?.remove()
  rmSync(directory, { recursive: true, force: true })
})

const run = (name: string, schedulerName: string) => {
  const resources = { requests: { cpu: '5000' } }
  const spec = { schedulerName, containers: [{ name: 'main', image: 'busybox', resources }] }
  const over = JSON.stringify({ apiVersion: 'v1', spec })
  return cluster.kubectl.ok(['run', name, '--image', 'busybox', '--overrides', over])
}
const ask = (name: string, path: string) =>
  cluster.kubectl.ok(['get', 'pod', name, '-o', `jsonpath={${path}}`])
const eventsOf = (name: string, reason: string) => {
  const selector = `involvedObject.name=${name},reason=${reason}`
  return cluster.kubectl.ok([
    'get',
    'events',
    '--field-selector',
    selector,
    '-o',
    'jsonpath={.items[*].source.component}',
  ])
}

test('each pod is placed by the profile of its scheduler name, which its events name', async () => {
  await run('plain', 'default-scheduler')
  await run('bold', 'careless')
  await run('alien', 'somebody-else')
  await until('the careless profile binds', async () => (await ask('bold', '.spec.nodeName')) === 'node-1')
  await until('the default profile finds no room', async () =>
    /Insufficient cpu/.test(await ask('plain', '.status.conditions[?(@.type=="PodScheduled")].message')),
  )
  await until('who bound it is told', async () => (await eventsOf('bold', 'Scheduled')) === 'careless')
  await until('who did not is told', async () =>
    (await eventsOf('plain', 'FailedScheduling')).startsWith('default-scheduler'),
  )
  assert.equal(await ask('plain', '.spec.nodeName'), '')
  assert.equal(await ask('alien', '.spec.nodeName'), '')
  assert.equal(await ask('alien', '.status.conditions'), '')
})

test('an extender filters and binds pods that ask for what it manages, and its reasons are told', async () => {
  const paint = (name: string) => {
    const resources = { requests: { 'example.com/color': '1' }, limits: { 'example.com/color': '1' } }
    const spec = { schedulerName: 'default-scheduler', containers: [{ name, image: 'busybox', resources }] }
    return cluster.kubectl.ok([
      ...['run', name, '--image', 'busybox', '--overrides', JSON.stringify({ apiVersion: 'v1', spec })],
    ])
  }
  const condition = (name: string, field: string) =>
    ask(name, `.status.conditions[?(@.type=="PodScheduled")].${field}`)
  for (const name of ['red', 'grey', 'odd']) await paint(name)
  await until('the extender binds', async () => (await ask('red', '.spec.nodeName')) === 'node-1')
  assert.deepEqual(bound, ['red'])
  await until('who had it bound is told', async () =>
    (await eventsOf('red', 'Scheduled')).startsWith('default-scheduler'),
  )
  await until('the reason is told', async () =>
    (await condition('grey', 'message')).startsWith('0/1 nodes are available: 1 node(s) had no colour.'),
  )
  await until('a failure is told', async () => (await condition('odd', 'message')) === 'out of colours')
  assert.equal(await condition('odd', 'reason'), 'SchedulerError')
})

test('a configuration that cannot be used stops an installation, and says why', async () => {
  const file = join(directory, 'bad.yaml')
  writeFileSync(file, configOf(extender).replace('NodeResourcesFit', 'NodeResourceFit'))
  const refused = installCluster({ args: ['--scheduler-config', file] })
  await assert.rejects(
    refused,
    /profiles\[1\]\.plugins\.filter\.disabled\[0\]\.name.*there is no such plugin/s,
  )
})
