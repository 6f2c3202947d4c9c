/** Pods that programs of somebody else's have a say about: real calls to a small extender over TLS. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { must } from '../../../../src/base/assert.ts'
import { silentLog } from '../../../../src/base/log.ts'
import { seededRandom } from '../../../../src/base/random.ts'
import type { Pod } from '../../../../src/kube/types.ts'
import { parseSchedulerConfig } from '../../../../src/runtime/scheduler/configuration.ts'
import { scheduleWithExtenders } from '../../../../src/runtime/scheduler/extended-schedule.ts'
import { Extenders } from '../../../../src/runtime/scheduler/extenders.ts'
import { NodeInfo } from '../../../../src/runtime/scheduler/node-info.ts'
import { type Review, startWebhookServer, type WebhookServer } from '../../../support/webhook-server.ts'

type Answers = Readonly<Record<string, (body: Review) => unknown>>

let answers: Answers = {}
let server: WebhookServer

before(async () => {
  server = await startWebhookServer(async (path, body) => {
    const answer = answers[path]
    return answer === undefined ? { status: 500, body: {} } : { body: await answer(body) }
  })
})
after(() => server.close())

const pod = (name: string, requests: object, spec: object = {}): Pod => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name, uid: name, namespace: 'default' },
  spec: { containers: [{ name: 'c', resources: { requests: { ...requests } } }], ...spec },
})
const node = (name: string, ...pods: Pod[]) =>
  new NodeInfo(
    {
      apiVersion: 'v1',
      kind: 'Node',
      metadata: { name },
      status: { allocatable: { cpu: '2', memory: '4Gi', pods: '10' } },
    },
    pods,
  )
const configOf = (...given: object[]) => {
  const extenders = given.map(each => ({
    urlPrefix: `${server.url}/x/`,
    enableHTTPS: true,
    tlsConfig: { caData: server.caBundle },
    ...each,
  }))
  const config = {
    apiVersion: 'kubescheduler.config.k8s.io/v1',
    kind: 'KubeSchedulerConfiguration',
    extenders,
  }
  return parseSchedulerConfig(JSON.stringify(config), 'file', () => '')
}
async function place(given: object | readonly object[], wanted: Pod, ...nodes: NodeInfo[]) {
  const config = configOf(...[given].flat())
  const extenders = new Extenders(config.extenders, silentLog)
  const profile = must(config.profiles.get('default-scheduler'), 'the profile')
  try {
    const result = await scheduleWithExtenders(extenders, wanted, nodes, seededRandom(1), [], { profile })
    if (result.kind === 'node') return result.name
    const { preemption, message } = result
    if (preemption?.kind !== 'victims') return message
    return `${preemption.node}: ${preemption.victims.map(each => each.metadata.name).join()}`
  } finally {
    extenders.close()
  }
}
const three = () => [node('a'), node('b'), node('c')]

test('an extender filters nodes, by their names or as a whole, and its reasons are told', async () => {
  answers = {
    '/x/filter': ({ NodeNames }) => ({ nodenames: NodeNames.filter((each: string) => each === 'b') }),
  }
  const byName = { filterVerb: 'filter', nodeCacheCapable: true }
  assert.equal(await place(byName, pod('p', { cpu: '1' }), ...three()), 'b')
  const sent = must(server.calls.at(-1), 'the call').body
  assert.deepEqual([sent.Nodes, sent.NodeNames, sent.Pod.metadata.name], [null, ['a', 'b', 'c'], 'p'])
  answers = {
    '/x/filter': ({ Nodes }) => ({
      Nodes: { items: Nodes.items.filter(({ metadata }: Review) => metadata.name === 'c') },
    }),
  }
  assert.equal(await place({ filterVerb: 'filter' }, pod('p', {}), ...three()), 'c')
  answers = {
    '/x/filter': () => ({
      FailedNodes: { a: 'too loud', b: 'too loud' },
      FailedAndUnresolvableNodes: { c: 'never', b: 'never' },
    }),
  }
  assert.match(
    await place({ filterVerb: 'filter' }, pod('p', {}), ...three()),
    /^0\/3 nodes are available: 1 too loud, 2 never\. no new claims to deallocate, preemption: 0\/3 nodes are available: 1 No preemption victims found for incoming pod, 2 Preemption is not helpful for scheduling\.$/,
  )
  answers = { '/x/filter': () => ({ NodeNames: ['z'] }) }
  await assert.rejects(
    place(byName, pod('p', {}), ...three()),
    /claims a filtered node "z" which is not found/,
  )
})

test('scores of extenders count ten times their weight beside those of plugins', async () => {
  const score = (host: string, value: number) => () => [{ Host: host, Score: value }]
  answers = { '/x/one': score('a', 10), '/x/two': score('c', 4), '/x/broken': () => ({}) }
  const of = (prioritizeVerb: string, weight: number) => ({ prioritizeVerb, weight })
  assert.equal(await place(of('one', 1), pod('p', {}), ...three()), 'a')
  assert.equal(await place([of('one', 1), of('two', 3)], pod('p', {}), ...three()), 'c')
  assert.equal(await place([of('one', 1), of('broken', 9), of('none', 9)], pod('p', {}), ...three()), 'a')
})

test('an extender that fails stops the pod, unless it can be ignored', async () => {
  answers = { '/x/wrong': () => ({ Error: 'out of order' }), '/x/slow': () => new Promise(() => {}) }
  const wanted = pod('p', {})
  await assert.rejects(place({ filterVerb: 'wrong' }, wanted, node('a')), /^Error: out of order$/)
  await assert.rejects(
    place({ filterVerb: 'none' }, wanted, node('a')),
    /failed none with extender at URL https:\/\/127\.0\.0\.1:\d+\/x\/none, code 500/,
  )
  const slow = { filterVerb: 'slow', httpTimeout: '20ms' }
  await assert.rejects(place(slow, wanted, node('a')), /context deadline exceeded/)
  assert.equal(await place({ ...slow, ignorable: true }, wanted, node('a')), 'a')
  const stranger = {
    filterVerb: 'wrong',
    tlsConfig: { serverName: 'other.example', caData: server.caBundle },
  }
  await assert.rejects(place(stranger, wanted, node('a')), /Post "https:.*other\.example/s)
  const blind = { filterVerb: 'wrong', tlsConfig: {} }
  await assert.rejects(place(blind, wanted, node('a')), /out of order/, 'without an authority, as upstream')
})

test('an extender has a say about pods only that ask for what it manages', async () => {
  answers = { '/x/filter': () => ({ FailedNodes: { a: 'no' } }) }
  const managedResources = [{ name: 'example.com/color', ignoredByScheduler: true }]
  const given = { filterVerb: 'filter', managedResources }
  assert.equal(await place(given, pod('p', { cpu: '1' }), node('a')), 'a')
  // The node has none of it, which is the extender's business.
  assert.match(await place(given, pod('p', { 'example.com/color': '1' }), node('a')), /1 no\./)
})

test('an extender takes candidates for preemption away, or other victims', async () => {
  const full = () => [
    node('a', pod('low-a', { cpu: '2' }, { priority: 1 })),
    node('b', pod('low-b', { cpu: '2' })),
  ]
  const wanted = pod('p', { cpu: '2' }, { priority: 9 })
  assert.equal(await place({ filterVerb: '' }, wanted, ...full()), 'b: low-b')
  answers = {
    '/x/preempt': ({ NodeNameToMetaVictims: { a } }) => ({ NodeNameToMetaVictims: { a } }),
    '/x/whole': ({ NodeNameToVictims: { a } }) => ({
      nodeNameToMetaVictims: { a: { pods: a.Pods.map(({ metadata }: Review) => ({ uid: metadata.uid })) } },
    }),
    '/x/nobody': () => ({}),
    '/x/wrong': () => ({ NodeNameToMetaVictims: { a: { Pods: [{ UID: 'who' }] } } }),
  }
  const verb = (preemptVerb: string, nodeCacheCapable = true) => ({ preemptVerb, nodeCacheCapable })
  assert.equal(await place(verb('preempt'), wanted, ...full()), 'a: low-a')
  assert.equal(await place(verb('whole', false), wanted, ...full()), 'a: low-a')
  assert.match(
    await place(verb('nobody'), wanted, ...full()),
    /^0\/2 nodes are available: 2 Insufficient cpu/,
  )
  await assert.rejects(place(verb('wrong'), wanted, ...full()), /preempt pod \(UID: who\) on node: a/)
})

test('at most one extender binds, and it is told what', async () => {
  answers = { '/x/bind': () => ({}), '/x/refuse': () => ({ Error: 'taken' }) }
  const bind = (given: object) => new Extenders(configOf(given).extenders, silentLog).bind(pod('p', {}), 'a')
  assert.equal(await bind({ bindVerb: 'bind' }), true)
  const told = { PodName: 'p', PodNamespace: 'default', PodUID: 'p', Node: 'a' }
  assert.deepEqual(must(server.calls.at(-1), 'the call').body, told)
  await assert.rejects(bind({ bindVerb: 'refuse' }), /taken/)
  assert.equal(await bind({ bindVerb: 'refuse', ignorable: true }), false)
  assert.throws(
    () => configOf({ bindVerb: 'a' }, { bindVerb: 'b' }),
    /file cannot be used/,
    'nobody knows which one',
  )
})

test('what is wrong with an extender is told by its path', () => {
  const wrong = {
    prioritizeVerb: 'rank',
    weight: 0,
    httpTimeout: 'soon',
    managedResources: [{ name: 'cpu' }],
    tlsConfig: { caData: server.caBundle, insecure: true, certData: 'AA==' },
    more: 1,
  }
  assert.throws(() => configOf(wrong), {
    why: [
      'extenders[0].more: unknown field',
      'extenders[0].weight: Invalid value: 0: must have a positive weight applied to it',
      'extenders[0].httpTimeout: Invalid value: "soon": must be a duration',
      'extenders[0].managedResources[0].name: Invalid value: "cpu": is an invalid extended resource name',
      'extenders[0].tlsConfig: Invalid value: a certificate and a key belong together',
      'extenders[0].tlsConfig: Invalid value: specifying a root certificates file with the insecure flag is not allowed',
    ].join('\n'),
  })
})
