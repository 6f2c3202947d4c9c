import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Container, Pod, PodStatus } from '../../../../src/kube/types.ts'
import type { PodFailure } from '../../../../src/runtime/kubelet/pod-failure.ts'
import { renderPodStatus } from '../../../../src/runtime/kubelet/render-pod-status.ts'
import type { ContainerStatus } from '../../../../src/runtime/kubelet/runtime/runtime.ts'

/** `running`, or the exit code. */
type Outcome = 'running' | number

const containerOf = (name: string, outcome: Outcome): ContainerStatus => ({
  id: `id-${name}`,
  sandboxId: 's',
  podUid: 'u',
  name,
  attempt: 0,
  image: 'i',
  imageId: 'i',
  state: outcome === 'running' ? 'running' : 'exited',
  createdAt: 1_000,
  startedAt: 1_000,
  finishedAt: outcome === 'running' ? 0 : 2_000,
  exitCode: outcome === 'running' ? 0 : outcome,
  signal: 0,
  reason: '',
  message: '',
  logPath: '/x',
  labels: {},
  annotations: {},
})

interface Case {
  readonly policy: string
  readonly inits?: readonly Container[]
  readonly outcomes: Readonly<Record<string, Outcome>>
  readonly isEnding?: boolean
  readonly isTerminated?: boolean
  readonly failure?: PodFailure
}

const phaseOf = (wanted: Case): string | undefined => statusOf(wanted).phase

function statusOf({
  policy,
  inits = [],
  outcomes,
  isEnding,
  isTerminated = false,
  failure,
}: Case): PodStatus {
  const pod: Pod = {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'p', uid: 'u' },
    spec: {
      restartPolicy: policy,
      initContainers: [...inits],
      containers: ['a', 'b'].map(name => ({ name, image: 'i' })),
    },
  }
  return renderPodStatus({
    pod,
    sandboxes: [],
    containers: Object.entries(outcomes).map(([name, outcome]) => containerOf(name, outcome)),
    facts: {
      runtimeName: 'process',
      waiting: () => undefined,
      isReady: () => true,
      isStarted: () => true,
      terminationMessage: () => '',
    },
    hostAddress: '192.0.2.1',
    nowMs: 3_000,
    ...(isEnding === undefined ? {} : { isEnding }),
    isTerminated,
    failure,
  })
}

test('the phase follows from how the containers ended and from the restart policy', () => {
  const cases: [Case, string][] = [
    [{ policy: 'Always', outcomes: {} }, 'Pending'],
    [{ policy: 'Always', outcomes: { a: 'running' } }, 'Pending'],
    [{ policy: 'Always', outcomes: { a: 'running', b: 1 } }, 'Running'],
    [{ policy: 'Always', outcomes: { a: 0, b: 0 } }, 'Running'],
    [{ policy: 'OnFailure', outcomes: { a: 0, b: 3 } }, 'Running'],
    [{ policy: 'OnFailure', outcomes: { a: 0, b: 0 } }, 'Succeeded'],
    [{ policy: 'Never', outcomes: { a: 0, b: 3 } }, 'Failed'],
    [{ policy: 'Never', outcomes: { a: 0, b: 0 } }, 'Succeeded'],
    [{ policy: 'Always', outcomes: { a: 0, b: 137 }, isTerminated: true }, 'Failed'],
  ]
  for (const [given, phase] of cases) assert.equal(phaseOf(given), phase, JSON.stringify(given))
})

test('a failed init container ends a pod that is never restarted', () => {
  const inits = [{ name: 'init', image: 'i' }]
  assert.equal(phaseOf({ policy: 'Never', inits, outcomes: { init: 1 } }), 'Failed')
  assert.equal(phaseOf({ policy: 'OnFailure', inits, outcomes: { init: 1 } }), 'Pending')
})

test('how a sidecar ends does not decide how its pod ends', () => {
  const inits = [{ name: 'side', image: 'i', restartPolicy: 'Always' }]
  const policy = 'Never'
  assert.equal(phaseOf({ policy, inits, outcomes: { side: 7, a: 'running', b: 'running' } }), 'Running')
  assert.equal(
    phaseOf({ policy, inits, outcomes: { side: 'running', a: 0, b: 0 }, isEnding: true }),
    'Running',
    'it has not ended while its sidecar still runs',
  )
  assert.equal(
    phaseOf({ policy, inits, outcomes: { side: 143, a: 0, b: 0 }, isTerminated: true }),
    'Succeeded',
  )
})

test('a pod that its node ends is as ready as its containers until the last has ended', () => {
  const outcomes = { a: 'running', b: 'running' } as const
  const told = ({ phase, reason, conditions = [] }: PodStatus) => {
    const of = (type: string) => conditions.find(condition => condition.type === type)
    return [phase, reason, of('Ready')?.status, of('Ready')?.reason, of('DisruptionTarget')?.message]
  }
  const evicted: PodFailure = { reason: 'Evicted', message: 'short of disk', isDisruption: true }
  const overdue: PodFailure = { reason: 'DeadlineExceeded', message: 'late', isUnready: true }
  const during = { policy: 'Always', outcomes, isEnding: true }
  assert.deepEqual(told(statusOf({ ...during, failure: evicted })), [
    'Running',
    undefined,
    'True',
    undefined,
    undefined,
  ])
  assert.deepEqual(told(statusOf({ ...during, failure: overdue })), [
    ...['Running', undefined, 'False', 'PodFailed', undefined],
  ])
  const after = { policy: 'Always', outcomes: { a: 137, b: 137 }, failure: evicted }
  assert.deepEqual(told(statusOf(after)), ['Failed', 'Evicted', 'False', 'PodFailed', 'short of disk'])
  const disruptionMessage = 'another needs its place'
  const preempted = statusOf({ ...after, failure: { ...evicted, disruptionMessage } })
  assert.equal(told(preempted)[4], disruptionMessage)
})
