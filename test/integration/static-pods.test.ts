/** Static pods: files of a node run by its kubelet, and mirrored in the API by the rules that a node has there. */
import assert from 'node:assert/strict'
import { rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { isNotFound } from '../../src/client/kube-client.ts'
import { EVENTS, NODES, PODS } from '../../src/client/resources.ts'
import type { Event, Node, Pod } from '../../src/kube/types.ts'
import { shutdownSteps } from '../../src/runtime/kubelet/shutdown/plan-shutdown.ts'
import { type InProcessCluster, startInProcessCluster } from '../support/in-process-cluster.ts'
import { createTestKubelet, type TestKubelet } from '../support/test-kubelet.ts'
import { until } from '../support/until.ts'

const NODE = 'node-s'
const MIRROR = 'kubernetes.io/config.mirror'

const podText = (name: string, seconds: number) => `
apiVersion: v1
kind: Pod
metadata: { name: ${name}, labels: { app: ${name} } }
spec:
  terminationGracePeriodSeconds: 2
  priorityClassName: system-node-critical
  containers:
    - name: main
      image: example/static
      command: [sh, -c, "echo started; exec sleep ${seconds}"]
`

describe('static pods', () => {
  let cluster: InProcessCluster
  let node: TestKubelet
  const place = (file: string) => join(node.directory, 'manifests', file)
  const put = async (file: string, text: string) => {
    await writeFile(join(node.directory, file), text)
    await rename(join(node.directory, file), place(file))
  }
  const get = (name: string) =>
    cluster.client.get<Pod>(PODS, { namespace: 'default', name: `${name}-${NODE}` })
  const ready = (name: string, isIt: (pod: Pod) => boolean = () => true) =>
    until(`${name} ready`, async () => {
      const pod = await get(name).catch(() => null)
      const isReady = pod?.status?.conditions?.some(
        ({ type, status }) => type === 'Ready' && status === 'True',
      )
      return pod !== null && isReady === true && isIt(pod) && pod
    })
  const gone = (name: string) => until(`${name} gone`, () => get(name).then(() => false, isNotFound))
  const idOf = (pod: Pod) => pod.status?.containerStatuses?.[0]?.containerID

  before(async () => {
    cluster = await startInProcessCluster()
    node = await createTestKubelet(cluster, NODE, () => ({ shutdownSteps: shutdownSteps('20s', '10s') }))
    await node.start()
  })

  after(async () => {
    await node.remove()
    await cluster.stop()
  })

  test('several pods of one file run, and their mirrors say so', async () => {
    await put('both.yaml', `${podText('one', 600)}---${podText('two', 600)}`)
    const one = await ready('one')
    await ready('two')
    const { annotations = {}, ownerReferences = [], labels } = one.metadata
    const { metadata } = await cluster.client.get<Node>(NODES, { name: NODE })
    assert.equal(annotations['kubernetes.io/config.source'], 'file')
    assert.equal(annotations['kubernetes.io/config.hash'], annotations[MIRROR])
    assert.match(annotations['kubernetes.io/config.seen'] ?? '', /^\d{4}-/)
    assert.deepEqual(ownerReferences, [
      { apiVersion: 'v1', kind: 'Node', name: NODE, uid: metadata.uid, controller: true },
    ])
    assert.deepEqual(labels, { app: 'one' })
    assert.notEqual(one.metadata.uid, annotations[MIRROR])
    assert.equal(one.spec?.priority, 2_000_001_000)
    assert.equal(one.status?.phase, 'Running')
  })

  test('a mirror that somebody deletes comes back, and its pod goes on', async () => {
    const before = await ready('one')
    await cluster.client.delete(PODS, { namespace: 'default', name: `one-${NODE}` })
    const back = await ready('one', ({ metadata }) => metadata.uid !== before.metadata.uid)
    assert.equal(idOf(back), idOf(before))
    assert.equal(back.status?.startTime, before.status?.startTime)
  })

  test('a changed file replaces the pod and its mirror, and leaves the others of the file alone', async () => {
    const [one, two] = [await ready('one'), await ready('two')]
    await put('both.yaml', `${podText('one', 601)}---${podText('two', 600)}`)
    const changed = await ready('one', ({ metadata }) => metadata.uid !== one.metadata.uid)
    assert.notEqual(idOf(changed), idOf(one))
    assert.deepEqual(changed.spec?.containers[0]?.command?.[2], 'echo started; exec sleep 601')
    assert.equal(idOf(await ready('two')), idOf(two))
  })

  test('a bad file leaves what runs as it is, and the node says what is wrong', async () => {
    const before = await ready('one')
    await put('both.yaml', 'apiVersion: v1\nkind: Pod\nmetadata: { name: one }\nspec: { containers: [] }\n')
    await put('secret.yaml', podText('three', 1).replace('spec:', 'spec:\n  imagePullSecrets: [{ name: x }]'))
    const messages = await until('events', async () => {
      const { items } = await cluster.client.list<Event>(EVENTS, { namespace: 'default' })
      const found = items
        .filter(({ reason }) => reason === 'FailedStaticPod')
        .map(({ message = '' }) => message)
      return found.length === 2 && found.sort()
    })
    assert.match(messages[0] ?? '', /both\.yaml: spec\.containers: Required value$/)
    assert.match(messages[1] ?? '', /secret\.yaml: static pods may not reference secrets$/)
    assert.equal(idOf(await ready('one')), idOf(before))
    assert.equal(
      await get('three').then(
        () => true,
        () => false,
      ),
      false,
    )
  })

  test('a restarted kubelet finds static pods as they were, and ends those whose file went meanwhile', async () => {
    await put('both.yaml', podText('one', 601))
    await gone('two')
    await put('later.json', JSON.stringify(jsonPod('four')))
    const [one] = [await ready('one'), await ready('four')]
    await node.current().stop()
    await rm(place('later.json'))
    await node.start()
    const same = await ready('one')
    assert.equal(idOf(same), idOf(one))
    assert.equal(same.metadata.uid, one.metadata.uid)
    assert.equal(same.status?.containerStatuses?.[0]?.restartCount, 0)
    await gone('four')
  })

  test('when the machine goes down, pods end by priority and say why, and new ones are refused', async () => {
    const create = (name: string) =>
      cluster.client.create<Pod>(PODS, {
        ...jsonPod(`${name}-${NODE}`),
        metadata: { name: `${name}-${NODE}`, namespace: 'default' },
        spec: { ...jsonPod(name).spec, automountServiceAccountToken: false, nodeName: NODE },
      })
    await create('plain')
    await ready('plain')
    const critical = await ready('one')
    await node.current().shutDown()
    const plain = await get('plain')
    assert.equal(plain.status?.phase, 'Failed')
    assert.equal(plain.status?.reason, 'Terminated')
    assert.equal(plain.status?.message, 'Pod was terminated in response to imminent node shutdown.')
    const target = plain.status?.conditions?.find(({ type }) => type === 'DisruptionTarget')
    assert.deepEqual([target?.status, target?.reason], ['True', 'TerminationByKubelet'])
    const ended = (await get('one')).status
    assert.equal(ended?.reason, 'Terminated')
    const endOf = (pod: Pod['status']) => pod?.containerStatuses?.[0]?.state?.terminated?.finishedAt ?? ''
    assert.ok(endOf(plain.status) <= endOf(ended))
    const own = await cluster.client.get<Node>(NODES, { name: NODE })
    const condition = own.status?.conditions?.find(({ type }) => type === 'Ready')
    assert.deepEqual(
      [condition?.status, condition?.reason, condition?.message],
      ['False', 'KubeletNotReady', 'node is shutting down'],
    )
    await create('late')
    const late = await until('late refused', async () => {
      const pod = await get('late')
      return pod.status?.phase === 'Failed' && pod
    })
    assert.equal(late.status?.reason, 'NodeShutdown')
    assert.equal(late.status?.message, 'Pod was rejected: Pod was rejected as the node is shutting down.')
    // The machine comes up again: static pods run, others have ended for good.
    await node.current().stop()
    await node.start()
    const again = await ready('one', pod => idOf(pod) !== idOf(critical))
    assert.equal(again.status?.phase, 'Running')
    assert.equal(again.status?.reason, undefined)
    assert.equal((await get('plain')).status?.phase, 'Failed')
  })

  test('a pod whose file is removed ends, and its mirror goes', async () => {
    await ready('one')
    await rm(place('both.yaml'))
    await gone('one')
  })
})

const jsonPod = (name: string) => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name },
  spec: {
    terminationGracePeriodSeconds: 1,
    containers: [{ name: 'main', image: 'x', command: ['sleep', '600'] }],
  },
})
