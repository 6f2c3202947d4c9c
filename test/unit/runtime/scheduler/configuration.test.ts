/** What a KubeSchedulerConfiguration makes of the scheduler's profiles, and what is wrong with a bad one. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { must } from '../../../../src/base/assert.ts'
import { Mk8sError } from '../../../../src/base/errors.ts'
import { seededRandom } from '../../../../src/base/random.ts'
import type { Pod } from '../../../../src/kube/types.ts'
import { parseSchedulerConfig } from '../../../../src/runtime/scheduler/configuration.ts'
import { NodeInfo } from '../../../../src/runtime/scheduler/node-info.ts'
import { DEFAULT_PROFILE, nodesToScore } from '../../../../src/runtime/scheduler/profile.ts'
import { schedule } from '../../../../src/runtime/scheduler/schedule.ts'

const HEAD = { apiVersion: 'kubescheduler.config.k8s.io/v1', kind: 'KubeSchedulerConfiguration' }
const noFile = (path: string): string => {
  throw new Error(`there is no ${path}`)
}
const parse = (fields: object) => parseSchedulerConfig(JSON.stringify({ ...HEAD, ...fields }), 'file', noFile)
const profileOf = (fields: object) =>
  must(parse({ profiles: [{ schedulerName: 'own', ...fields }] }).profiles.get('own'), 'the profile')

let uid = 0
const asking = (cpu: string, spec: object = {}): Pod => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: 'p', namespace: 'default', uid: `pod-${uid++}` },
  spec: { containers: [{ name: 'c', resources: { requests: { cpu, memory: '10Mi' } } }], ...spec },
})
const node = (name: string, pods: Pod[] = [], spec: object = {}): NodeInfo => {
  const allocatable = { cpu: '2', memory: '4Gi', pods: '10' }
  return new NodeInfo(
    { apiVersion: 'v1', kind: 'Node', metadata: { name }, spec, status: { allocatable } },
    pods,
  )
}
const place = (fields: object, pod: Pod, ...nodes: NodeInfo[]) => {
  const result = schedule(pod, nodes, seededRandom(1), [], { profile: profileOf(fields) })
  return result.kind === 'node' ? result.name : result.message
}

test('nothing said is what upstream has by default', () => {
  const { profiles, initialBackoffMs, maxBackoffMs } = parse({})
  assert.deepEqual([...profiles.keys()], ['default-scheduler'])
  const { filters, ...profile } = must(profiles.get('default-scheduler'), 'the profile')
  assert.equal(filters?.size, 14)
  assert.deepEqual({ ...profile, filters: null }, DEFAULT_PROFILE)
  assert.deepEqual([initialBackoffMs, maxBackoffMs], [1_000, 10_000])
  const slow = parse({ podInitialBackoffSeconds: 3, podMaxBackoffSeconds: 7, leaderElection: {} })
  assert.deepEqual([slow.initialBackoffMs, slow.maxBackoffMs], [3_000, 7_000])
})

test('plugins are switched off by name or all at once, and on again with a weight', () => {
  const off = (...names: string[]) => ({ disabled: names.map(name => ({ name })) })
  assert.equal(place({ plugins: { filter: off('NodeResourcesFit') } }, asking('9'), node('n')), 'n')
  assert.equal(
    place(
      { plugins: { multiPoint: off('TaintToleration') } },
      asking('1'),
      node('n', [], {
        taints: [{ key: 'a', effect: 'NoSchedule' }],
      }),
    ),
    'n',
  )
  assert.equal(
    place({ plugins: { postFilter: off('*') } }, asking('9'), node('n')),
    '0/1 nodes are available: 1 Insufficient cpu.',
  )
  const score = { ...off('*'), enabled: [{ name: 'ImageLocality', weight: 7 }, { name: 'NodeAffinity' }] }
  const { weights } = profileOf({ plugins: { score } })
  assert.deepEqual(
    Object.entries(weights).filter(([, weight]) => weight > 0),
    [
      ['NodeAffinity', 1],
      ['ImageLocality', 7],
    ],
  )
  const enabled = ['PrioritySort', 'DefaultBinder', 'SchedulingGates', 'NodeName'].map(name => ({ name }))
  const { filters } = profileOf({ plugins: { multiPoint: { ...off('*'), enabled } } })
  assert.deepEqual([...(filters ?? [])], ['NodeName'])
})

test('arguments of plugins decide', () => {
  const args = (name: string, fields: object) => ({ pluginConfig: [{ name, args: fields }] })
  const nodes = () => [node('empty'), node('used', [asking('1')])]
  const strategy = (type: string) => args('NodeResourcesFit', { scoringStrategy: { type } })
  const only = { plugins: { score: { disabled: [{ name: '*' }], enabled: [{ name: 'NodeResourcesFit' }] } } }
  assert.equal(place({ ...only, ...strategy('MostAllocated') }, asking('500m'), ...nodes()), 'used')
  assert.equal(place({ ...only, ...strategy('LeastAllocated') }, asking('500m'), ...nodes()), 'empty')
  assert.equal(place(args('NodeResourcesFit', { ignoredResources: ['cpu'] }), asking('9'), node('n')), 'n')
  assert.equal(profileOf(args('InterPodAffinity', { hardPodAffinityWeight: 0 })).hardPodAffinityWeight, 0)
  const added = (values: string[], preferred: object[] = []) =>
    args('NodeAffinity', {
      addedAffinity: {
        requiredDuringSchedulingIgnoredDuringExecution: {
          nodeSelectorTerms: [{ matchFields: [{ key: 'metadata.name', operator: 'In', values }] }],
        },
        preferredDuringSchedulingIgnoredDuringExecution: preferred,
      },
    })
  assert.equal(place(added(['used']), asking('500m'), ...nodes()), 'used')
  assert.match(
    place(added(['none']), asking('500m'), ...nodes()),
    /^0\/2 nodes are available: 2 node\(s\) didn't match scheduler-enforced node affinity\./,
  )
  const { candidates, bindTimeoutMs, balanced } = profileOf({
    pluginConfig: [
      { name: 'DefaultPreemption', args: { minCandidateNodesPercentage: 0, minCandidateNodesAbsolute: 7 } },
      { name: 'VolumeBinding', args: { bindTimeoutSeconds: 30 } },
      { name: 'NodeResourcesBalancedAllocation', args: { resources: [{ name: 'pods' }, { name: 'cpu' }] } },
    ],
  })
  assert.deepEqual(candidates, { percentage: 0, absolute: 7 })
  assert.equal(bindTimeoutMs, 30_000)
  assert.deepEqual(balanced, ['pods', 'cpu'])
  const defaultConstraints = [{ topologyKey: 'zone', whenUnsatisfiable: 'ScheduleAnyway', maxSkew: 2 }]
  const spread = args('PodTopologySpread', { defaultingType: 'List', defaultConstraints })
  assert.deepEqual(profileOf(spread).defaultConstraints, defaultConstraints)
})

test('a profile has a share of the nodes of its own', () => {
  const profiles = [{ schedulerName: 'a' }, { schedulerName: 'b', percentageOfNodesToScore: 30 }]
  const config = parse({ percentageOfNodesToScore: 60, profiles })
  const counts = [...config.profiles.values()].map(profile => nodesToScore(1_000, profile))
  assert.deepEqual(counts, [600, 300])
})

test('all that is wrong is told at once, by its path', () => {
  const profiles = [
    { schedulerName: 'a', plugins: { score: { enabled: [{ name: 'Nothing' }] }, reserve: {} } },
    {
      schedulerName: 'a',
      percentageOfNodesToScore: 101,
      pluginConfig: [
        { name: 'VolumeBinding', args: { bindTimeoutSeconds: -1 } },
        {
          name: 'DefaultPreemption',
          args: { minCandidateNodesPercentage: 101, minCandidateNodesAbsolute: 0 },
        },
        { name: 'NodeResourcesBalancedAllocation', args: { resources: [{ name: 'cpu', weight: 2 }] } },
        {
          name: 'NodeAffinity',
          args: { addedAffinity: { requiredDuringSchedulingIgnoredDuringExecution: {} } },
        },
        { name: 'NodeName', args: {} },
      ],
    },
    { plugins: { multiPoint: { disabled: [{ name: '*' }] } } },
  ]
  try {
    parse({ profiles, extenders: [{}], podInitialBackoffSeconds: 20, profile: [] })
    assert.fail('it is refused')
  } catch (error) {
    assert.ok(error instanceof Mk8sError && error.code === 'config/invalid', String(error))
    const lines = (error.why ?? '').split('\n')
    assert.deepEqual(lines, [
      'profile: unknown field',
      'extenders[0].urlPrefix: Invalid value: "": must be an HTTP or HTTPS URL',
      'podMaxBackoffSeconds: Invalid value: must be greater than or equal to PodInitialBackoffSeconds',
      'profiles[0].plugins.reserve: Forbidden: plugins of this point cannot be chosen',
      'profiles[0].plugins.score.enabled[0].name: Invalid value: "Nothing": there is no such plugin',
      'profiles[1].pluginConfig[0].args.bindTimeoutSeconds: Invalid value: -1: invalid BindTimeoutSeconds, should not be a negative value',
      'profiles[1].pluginConfig[1].args.minCandidateNodesPercentage: Invalid value: 101: not in valid range [0, 100]',
      'profiles[1].pluginConfig[2].args.resources[0].weight: Invalid value: 2: must be 1',
      'profiles[1].pluginConfig[3].args.addedAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms: Required value: must have at least one node selector term',
      'profiles[1].pluginConfig[4].name: Invalid value: "NodeName": its arguments cannot be chosen',
      'profiles[1].percentageOfNodesToScore: Invalid value: 101: not in valid range [0-100]',
      'profiles[1].schedulerName: Duplicate value: "a"',
      'profiles[2].schedulerName: Required value',
      'profiles[2].plugins: no queue sort plugin is enabled',
      'profiles[2].plugins: at least one bind plugin is needed',
      'profiles[2].plugins: SchedulingGates is always on here',
    ])
  }
  assert.throws(() => parseSchedulerConfig('kind: Pod', 'file', noFile), /file cannot be used/)
})
