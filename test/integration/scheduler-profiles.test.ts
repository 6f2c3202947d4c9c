/** A server whose scheduler has two profiles, driven by kubectl. */
import assert from 'node:assert/strict'
import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { installCluster, type TestCluster, temporaryDirectory } from '../support/cluster.ts'
import { until } from '../support/until.ts'

const CONFIG = `
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
`
let cluster: TestCluster
const directory = temporaryDirectory()

before(async () => {
  const file = join(directory, 'scheduler.yaml')
  writeFileSync(file, CONFIG)
  cluster = await installCluster({ args: ['--scheduler-config', file] })
})
after(async () => {
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

test('a configuration that cannot be used stops an installation, and says why', async () => {
  const file = join(directory, 'bad.yaml')
  writeFileSync(file, CONFIG.replace('NodeResourcesFit', 'NodeResourceFit'))
  const refused = installCluster({ args: ['--scheduler-config', file] })
  await assert.rejects(
    refused,
    /profiles\[1\]\.plugins\.filter\.disabled\[0\]\.name.*there is no such plugin/s,
  )
})
