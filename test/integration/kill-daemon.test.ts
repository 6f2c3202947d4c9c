/** kill -9 of the daemon in a loop while a client writes: nothing acknowledged is lost, no revision goes back. */
import assert from 'node:assert/strict'
import test, { after, before, describe } from 'node:test'
import { seededRandom } from '../../src/base/random.ts'
import { type Api, apiFor } from '../support/api.ts'
import { installCluster, type TestCluster } from '../support/cluster.ts'
import { until } from '../support/until.ts'

const KILLS = 6
/** A kill comes after so many acknowledged writes at least, and a few more by chance. */
const WRITES_BETWEEN_KILLS = 25
const CONFIG_MAPS = '/api/v1/namespaces/default/configmaps'

describe('killing the daemon', () => {
  let cluster: TestCluster
  let api: Api
  before(async () => {
    cluster = await installCluster()
    api = apiFor(cluster.kubeconfig)
  })
  after(() => cluster.remove())

  test('loses no acknowledged write and never reuses a revision', async () => {
    const acknowledged = new Map<string, number>()
    let writing = true
    let highest = 0
    const write = async () => {
      for (let index = 0; writing; index++) {
        const name = `write-${index}`
        const body = {
          apiVersion: 'v1',
          kind: 'ConfigMap',
          metadata: { name },
          data: { index: String(index) },
        }
        const answer = await api(CONFIG_MAPS, { body }).catch(() => null)
        if (answer?.status !== 201) continue
        const revision = Number(answer.body.metadata?.['resourceVersion'])
        assert.ok(revision > highest, `revision ${revision} after ${highest}`)
        highest = revision
        acknowledged.set(name, revision)
      }
    }
    const writer = write()
    const random = seededRandom(process.pid)
    for (let kill = 0; kill < KILLS; kill++) {
      const enough = acknowledged.size + WRITES_BETWEEN_KILLS + Math.floor(random.float() * 20)
      await until('writes are acknowledged', () => acknowledged.size >= enough)
      const pid = cluster.daemonPid()
      cluster.signalDaemon('SIGKILL')
      await until('another daemon runs', () => cluster.daemonPid() !== pid)
    }
    await cluster.ready()
    writing = false
    await writer
    const items = (await api(CONFIG_MAPS)).body['items'] as {
      metadata: { name: string; resourceVersion: string }
    }[]
    const kept = new Map(items.map(({ metadata }) => [metadata.name, Number(metadata.resourceVersion)]))
    for (const [name, revision] of acknowledged) assert.equal(kept.get(name), revision, name)
    assert.ok(acknowledged.size >= KILLS * WRITES_BETWEEN_KILLS)
  })

  test('leaves running pods alone', async () => {
    const spec = {
      containers: [{ name: 'c', image: 'localhost/sh', command: ['sh', '-c', 'echo started $$; sleep 600'] }],
    }
    const pod = { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'steady' }, spec }
    await cluster.kubectl.ok(['create', '-f', '-'], { input: JSON.stringify(pod) })
    await cluster.kubectl.ok(['wait', '--for=condition=Ready', 'pod/steady', '--timeout=120s'])
    const before = await cluster.kubectl.ok(['logs', 'steady'])
    const pid = cluster.daemonPid()
    cluster.signalDaemon('SIGKILL')
    await until('another daemon runs', () => cluster.daemonPid() !== pid)
    await cluster.ready()
    const restarts = '{.status.containerStatuses[0].restartCount} {.status.phase}'
    await until('the kubelet is back', async () => (await cluster.kubectl.try(['logs', 'steady'])).code === 0)
    assert.equal(await cluster.kubectl.ok(['logs', 'steady']), before)
    assert.equal(
      await cluster.kubectl.ok(['get', 'pod', 'steady', '-o', `jsonpath=${restarts}`]),
      '0 Running',
    )
    await cluster.kubectl.ok(['delete', 'pod', 'steady', '--grace-period=1', '--timeout=120s'])
  })
})
