/** What Kubernetes' conformance asks of daemon sets and of controller revisions. */
import assert from 'node:assert/strict'
import test, { after, before, describe } from 'node:test'
import type { ApiBody } from '../support/api.ts'
import {
  at,
  itemsOf,
  type Namespace,
  named,
  nameOf,
  type Suite,
  startSuite,
  waiting,
} from '../support/conformance.ts'
import { until } from '../support/until.ts'

const LABELS = { 'daemonset-name': 'daemon-set' }

const makeSet = (spec: object = {}, podSpec: object = {}) => {
  const template = waiting(LABELS)
  return named('apps/v1', 'DaemonSet', 'daemon-set', {
    metadata: { name: 'daemon-set', labels: LABELS },
    spec: {
      selector: { matchLabels: LABELS },
      template: { ...template, spec: { ...template.spec, ...podSpec } },
      ...spec,
    },
  })
}

describe('Daemon set', () => {
  let suite: Suite
  before(async () => {
    suite = await startSuite()
  })
  after(() => suite?.cluster.remove())

  const setsIn = (home: Namespace) => home.of('apps/v1', 'daemonsets')
  const read = (home: Namespace) => suite.ok('GET', `${setsIn(home)}/daemon-set`)
  const podsIn = async (home: Namespace) => itemsOf(await suite.ok('GET', home.core('pods')))
  const revisionsIn = async (home: Namespace) =>
    itemsOf(await suite.ok('GET', home.of('apps/v1', 'controllerrevisions')))
  const patch = (home: Namespace, spec: object) =>
    suite.ok('PATCH', `${setsIn(home)}/daemon-set`, { spec }, 'strategic')
  const env = (word: string) => ({
    template: { spec: { containers: [{ name: 'c', env: [{ name: 'WORD', value: word }] }] } },
  })

  /** The only daemon of the only node, once it is available and of the newest template. */
  const untilRolledOut = (home: Namespace) =>
    until('the daemon', async () => {
      const set = await read(home)
      const isSeen = at(set, 'status.observedGeneration') === at(set, 'metadata.generation')
      const counts = ['desiredNumberScheduled', 'updatedNumberScheduled', 'numberAvailable']
      if (!isSeen || counts.some(count => at(set, `status.${count}`) !== 1)) return false
      const [pod, ...more] = await podsIn(home)
      return more.length === 0 && pod
    })

  const untilNone = (home: Namespace) =>
    until('no pods', async () => (await podsIn(home)).length === 0 && (await read(home)))

  const wordOf = (pod: ApiBody) => at(pod, 'spec.containers.0.env.0.value') ?? 'first'

  test('should run and stop simple daemon', async () => {
    const home = await suite.namespace('daemonsets')
    await suite.ok('POST', setsIn(home), makeSet())
    const first = await untilRolledOut(home)
    assert.equal(at(first, 'spec.nodeName'), 'node-1')
    await suite.kubectl.ok(['-n', home.name, 'delete', 'pod', nameOf(first), '--now'])
    const second = await untilRolledOut(home)
    assert.notEqual(nameOf(second), nameOf(first), 'it is revived')
    await suite.kubectl.ok(['-n', home.name, 'delete', 'daemonset', 'daemon-set'])
    await until('its pods are gone', async () => (await podsIn(home)).length === 0)
  })

  test('should run and stop complex daemon', async () => {
    const home = await suite.namespace('daemonsets')
    const colour = (value: string) =>
      suite.kubectl.ok(['label', 'node', 'node-1', '--overwrite', `colour${value}`])
    await suite.ok('POST', setsIn(home), makeSet({}, { nodeSelector: { colour: 'blue' } }))
    await until('the set is looked at', async () => at(await read(home), 'status.observedGeneration') === 1)
    assert.deepEqual(await podsIn(home), [])
    await colour('=blue')
    await untilRolledOut(home)
    await colour('=green')
    await untilNone(home)
    await patch(home, {
      updateStrategy: { type: 'RollingUpdate' },
      template: { spec: { nodeSelector: { colour: 'green' } } },
    })
    await untilRolledOut(home)
    await colour('-')
    await untilNone(home)
  })

  test('should retry creating failed daemon pods', async () => {
    const home = await suite.namespace('daemonsets')
    await suite.ok('POST', setsIn(home), makeSet())
    const first = await untilRolledOut(home)
    const failed = { status: { phase: 'Failed' } }
    await suite.ok('PATCH', `${home.core('pods')}/${nameOf(first)}/status`, failed, 'strategic')
    await until('the failed one is gone', async () => {
      const pods = await podsIn(home)
      return pods.every(pod => nameOf(pod) !== nameOf(first))
    })
    await untilRolledOut(home)
  })

  test('should update pod when spec was updated and update strategy is RollingUpdate', async () => {
    const home = await suite.namespace('daemonsets')
    await suite.ok('POST', setsIn(home), makeSet({ updateStrategy: { type: 'RollingUpdate' } }))
    const first = await untilRolledOut(home)
    const [revision] = await revisionsIn(home)
    const hash = at(revision, 'metadata.labels')
    assert.equal(
      at(first, 'metadata.labels.controller-revision-hash'),
      (hash as Record<string, string>)['controller-revision-hash'],
    )
    await patch(home, env('second'))
    const second = await untilRolledOut(home)
    assert.equal(wordOf(second), 'second')
    const revisions = await revisionsIn(home)
    assert.deepEqual(revisions.map(each => each['revision']).sort(), [1, 2])
  })

  test('should rollback without unnecessary restarts', async () => {
    const home = await suite.namespace('daemonsets')
    await suite.ok('POST', setsIn(home), makeSet())
    const first = await untilRolledOut(home)
    const impossible = {
      template: { spec: { nodeSelector: null, priorityClassName: 'system-node-critical' } },
    }
    await patch(home, { updateStrategy: { type: 'OnDelete' }, ...impossible })
    await until('the second revision', async () => (await revisionsIn(home)).length === 2)
    const rollout = (...words: readonly string[]) => suite.kubectl.ok(['-n', home.name, 'rollout', ...words])
    assert.match(await rollout('history', 'daemonset/daemon-set'), /^1 .*\n2 /m)
    await rollout('undo', 'daemonset/daemon-set')
    await patch(home, { updateStrategy: { type: 'RollingUpdate' } })
    const after = await untilRolledOut(home)
    assert.equal(at(after, 'metadata.uid'), at(first, 'metadata.uid'), 'the same pod still runs')
    await rollout('restart', 'daemonset/daemon-set')
    await rollout('status', 'daemonset/daemon-set', '--timeout=60s')
    const restarted = await untilRolledOut(home)
    assert.notEqual(at(restarted, 'metadata.uid'), at(first, 'metadata.uid'))
  })

  test('revisions of one template become one, and the pod stays', async () => {
    const home = await suite.namespace('duplicates')
    await suite.ok('POST', setsIn(home), makeSet())
    const before = await untilRolledOut(home)
    const [initial] = await revisionsIn(home)
    const { ownerReferences, labels } = at(initial, 'metadata') as Record<string, Record<string, string>>
    const metadata = {
      name: 'again',
      labels: { ...labels, 'controller-revision-hash': 'again' },
      ownerReferences,
    }
    const revision = Number(initial?.['revision']) + 1
    await suite.ok('POST', home.of('apps/v1', 'controllerrevisions'), { ...initial, metadata, revision })
    await suite.ok(
      'PATCH',
      `${setsIn(home)}/daemon-set`,
      { metadata: { labels: { seen: 'again' } } },
      'merge',
    )
    await until('one revision', async () => (await revisionsIn(home)).map(nameOf).join() === 'again')
    const after = await untilRolledOut(home)
    assert.equal(at(after, 'metadata.uid'), at(before, 'metadata.uid'))
    assert.equal(at(after, 'metadata.labels.controller-revision-hash'), 'again')
  })

  test('should list and delete a collection of DaemonSets', async () => {
    const home = await suite.namespace('daemonsets')
    await suite.ok('POST', setsIn(home), makeSet())
    await untilRolledOut(home)
    const selected = `labelSelector=${encodeURIComponent('daemonset-name=daemon-set')}`
    const all = itemsOf(await suite.ok('GET', `/apis/apps/v1/daemonsets?${selected}`))
    assert.ok(all.some(set => at(set, 'metadata.namespace') === home.name))
    await suite.ok('DELETE', `${setsIn(home)}?${selected}`)
    await until('sets and pods are gone', async () => {
      return itemsOf(await suite.ok('GET', setsIn(home))).length === 0 && (await podsIn(home)).length === 0
    })
  })

  test('should verify changes to a daemon set status', async () => {
    const home = await suite.namespace('daemonsets')
    await suite.ok('POST', setsIn(home), makeSet())
    await untilRolledOut(home)
    const path = `${setsIn(home)}/daemon-set/status`
    const condition = (type: string) => ({
      type,
      status: 'True',
      reason: 'E2E',
      message: 'Set from e2e test',
    })
    await until('an update of the status that nobody was before', async () => {
      const set = (await suite.ok('GET', path)) as ApiBody & { status: object }
      const status = { ...set.status, conditions: [condition('StatusUpdate')] }
      return (await suite.api(path, { method: 'PUT', body: { ...set, status } })).status === 200
    })
    const conditions = [condition('StatusPatched')]
    await suite.ok('PATCH', path, { status: { conditions } }, 'merge')
    await patch(home, { minReadySeconds: 1 })
    await untilRolledOut(home)
    const found = at(await read(home), 'status.conditions') as { type: string }[]
    assert.deepEqual(
      found.map(each => each.type),
      ['StatusPatched'],
      'the controller keeps what others say',
    )
  })

  test('should manage the lifecycle of a ControllerRevision', async () => {
    const home = await suite.namespace('controllerrevisions')
    await suite.ok('POST', setsIn(home), makeSet())
    await untilRolledOut(home)
    const path = home.of('apps/v1', 'controllerrevisions')
    const [initial, ...more] = await revisionsIn(home)
    assert.deepEqual(more, [])
    assert.equal(at(initial, 'metadata.ownerReferences.0.kind'), 'DaemonSet')
    const label = (object: unknown) => ({
      metadata: { labels: { [nameOf(object)]: 'patched' } },
    })
    const labelled = await suite.ok('PATCH', `${path}/${nameOf(initial)}`, label(initial), 'strategic')
    assert.equal((at(labelled, 'metadata.labels') as Record<string, string>)[nameOf(initial)], 'patched')
    const { ownerReferences, labels } = at(initial, 'metadata') as Record<string, Record<string, string>>
    await suite.ok('POST', path, {
      apiVersion: 'apps/v1',
      kind: 'ControllerRevision',
      metadata: {
        name: 'daemon-set-other',
        labels: { ...labels, 'controller-revision-hash': 'other' },
        ownerReferences,
      },
      data: initial?.['data'],
      revision: Number(initial?.['revision']) + 1,
    })
    // The controller itself may be quicker to see that one of them is enough.
    await suite.api(`${path}/${nameOf(initial)}`, { method: 'DELETE' })
    const [current, ...others] = await revisionsIn(home)
    assert.deepEqual(others, [])
    const updated = await suite.ok('PUT', `${path}/${nameOf(current)}`, {
      ...current,
      metadata: { ...(current?.['metadata'] as object), labels: { ...labels, keep: 'no' } },
    })
    assert.equal(at(updated, 'metadata.labels.keep'), 'no')
    await patch(home, env('second'))
    await until('the revision of the new template', async () => (await revisionsIn(home)).length === 2)
    await suite.ok('DELETE', `${path}?labelSelector=keep%3Dno`)
    const left = await until('one revision', async () => {
      const found = await revisionsIn(home)
      return found.length === 1 && found
    })
    assert.deepEqual(
      left.map(each => each['revision']),
      [3],
    )
  })
})
