/** Plans as text: one line per action. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Container, Pod, PodSpec } from '../../../../src/kube/types.ts'
import {
  IMAGE_ANNOTATION,
  type PodAction,
  type PodPlanInput,
  planPod,
} from '../../../../src/runtime/kubelet/plan-pod.ts'
import type { ContainerStatus, SandboxStatus } from '../../../../src/runtime/kubelet/runtime/runtime.ts'

const NOW = 1_000_000

const named = (name: string, over: Partial<Container> = {}): Container => ({ name, image: 'x', ...over })

const podOf = (spec: Partial<PodSpec>): Pod => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: 'web', namespace: 'default', uid: 'u' },
  spec: { containers: [named('main')], restartPolicy: 'Always', ...spec },
})

const sandbox = (attempt = 0, state: 'ready' | 'not-ready' = 'ready'): SandboxStatus => ({
  id: `s${attempt}`,
  metadata: { name: 'web', namespace: 'default', uid: 'u', attempt },
  state,
  createdAt: 0,
  addresses: ['127.1.0.2'],
})

const running = (name: string, over: Partial<ContainerStatus> = {}): ContainerStatus => ({
  id: `${name}-id`,
  sandboxId: 's0',
  podUid: 'u',
  name,
  attempt: 0,
  state: 'running',
  createdAt: 0,
  startedAt: 1,
  finishedAt: 0,
  exitCode: 0,
  signal: 0,
  reason: '',
  message: '',
  image: 'x',
  imageId: '',
  logPath: '',
  labels: {},
  annotations: {},
  ...over,
})

const exited = (name: string, exitCode: number, over: Partial<ContainerStatus> = {}) =>
  running(name, { state: 'exited', exitCode, finishedAt: NOW - 1_000, ...over })

function plan(spec: Partial<PodSpec>, over: Partial<PodPlanInput> = {}): string[] {
  const input: PodPlanInput = {
    pod: podOf(spec),
    sandboxes: [sandbox()],
    containers: [],
    nowMs: NOW,
    startup: () => 'success',
    liveness: () => 'success',
    backoff: () => undefined,
    ...over,
  }
  return planPod(input).map(render)
}

function render(action: PodAction): string {
  switch (action.kind) {
    case 'finish':
      return 'finish'
    case 'create-sandbox':
      return `sandbox ${action.attempt}`
    case 'kill-container':
      return `kill ${action.name}: ${action.message}`
    case 'start-container':
      return `start ${action.name} ${action.attempt}`
    case 'back-off':
      return `back off ${action.name} ${action.delayMs} until ${action.untilMs - NOW}`
  }
}

test('a new pod gets a sandbox, then its containers', () => {
  assert.deepEqual(plan({}, { sandboxes: [] }), ['sandbox 0'])
  assert.deepEqual(plan({ containers: [named('a'), named('b')] }), ['start a 0', 'start b 0'])
  assert.deepEqual(plan({}, { containers: [running('main')] }), [])
})

test('init containers run one after the other, then the others start together', () => {
  const spec = { initContainers: [named('i1'), named('i2')], containers: [named('a'), named('b')] }
  assert.deepEqual(plan(spec), ['start i1 0'])
  assert.deepEqual(plan(spec, { containers: [running('i1')] }), [])
  assert.deepEqual(plan(spec, { containers: [exited('i1', 0)] }), ['start i2 0'])
  assert.deepEqual(plan(spec, { containers: [exited('i1', 0), exited('i2', 0)] }), ['start a 0', 'start b 0'])
})

test('a failed init container is tried again, or ends a pod that may not restart', () => {
  const initContainers = [named('i')]
  assert.deepEqual(plan({ initContainers }, { containers: [exited('i', 1)] }), ['start i 1'])
  const never = { initContainers, restartPolicy: 'Never' }
  assert.deepEqual(plan(never, { containers: [exited('i', 1)] }), ['finish'])
})

test('a sidecar starts before the others, which wait until it is up, and it is restarted on its own', () => {
  const spec = { initContainers: [named('side', { restartPolicy: 'Always' })] }
  assert.deepEqual(plan(spec), ['start side 0'])
  const waiting = { containers: [running('side')], startup: () => 'unknown' as const }
  assert.deepEqual(plan(spec, waiting), [])
  assert.deepEqual(plan(spec, { containers: [running('side')] }), ['start main 0'])
  assert.deepEqual(plan(spec, { containers: [exited('side', 1), running('main')] }), ['start side 1'])
  const done = { ...spec, restartPolicy: 'Never' }
  assert.deepEqual(plan(done, { containers: [running('side'), exited('main', 0)] }), ['finish'])
})

test('restart policies decide what an exit means', () => {
  const after = (restartPolicy: string, code: number) =>
    plan({ restartPolicy }, { containers: [exited('main', code)] })
  assert.deepEqual(after('Always', 0), ['start main 1'])
  assert.deepEqual(after('OnFailure', 0), ['finish'])
  assert.deepEqual(after('OnFailure', 1), ['start main 1'])
  assert.deepEqual(after('Never', 1), ['finish'])
})

test('a second crash waits for the back-off since the end', () => {
  const backoff = () => ({ delayMs: 10_000, updatedAtMs: NOW - 2_000 })
  const containers = [exited('main', 1, { attempt: 1 })]
  assert.deepEqual(plan({}, { containers, backoff }), ['back off main 10000 until 9000'])
  assert.deepEqual(plan({}, { containers, backoff, nowMs: NOW + 9_000 }), ['start main 2'])
})

test('a container that could not be started counts as crashed', () => {
  const containers = [running('main', { state: 'created', createdAt: NOW })]
  assert.deepEqual(plan({}, { containers }), ['start main 1'])
  assert.deepEqual(plan({ restartPolicy: 'Never' }, { containers }), ['finish'])
})

test('another image in the spec ends the container and starts it again whatever the policy', () => {
  const annotations = { [IMAGE_ANNOTATION]: 'old' }
  const spec = (image: string): Partial<PodSpec> => ({
    ...{ restartPolicy: 'Never', containers: [{ name: 'main', image }] },
  })
  const containers = [running('main', { annotations })]
  assert.deepEqual(plan(spec('old'), { containers }), [])
  assert.deepEqual(plan(spec('new'), { containers }), [
    'kill main: Container main definition changed, will be restarted',
  ])
  const over = { containers: [exited('main', 143, { annotations })] }
  assert.deepEqual(plan(spec('new'), over), ['finish'])
  assert.deepEqual(plan(spec('new'), { ...over, isToStart: () => true }), ['start main 1'])
})

test('failed probes kill, and say which', () => {
  const containers = [running('main')]
  assert.deepEqual(plan({}, { containers, liveness: () => 'failure' }), [
    'kill main: Container main failed liveness probe, will be restarted',
  ])
  assert.deepEqual(plan({}, { containers, startup: () => 'failure' }), [
    'kill main: Container main failed startup probe, will be restarted',
  ])
})

test('a lost sandbox is made anew and restart counts go on, unless the pod is over', () => {
  const lost = { sandboxes: [sandbox(0, 'not-ready')], containers: [exited('main', 137)] }
  assert.deepEqual(plan({}, lost), ['sandbox 1'])
  assert.deepEqual(plan({ restartPolicy: 'Never' }, lost), ['finish'])
  assert.deepEqual(plan({}, { ...lost, sandboxes: [sandbox(0, 'not-ready'), sandbox(1)] }), ['start main 1'])
})

const rule = (action: string, operator: string, ...values: number[]) => ({
  action,
  exitCodes: { operator, values },
})

test('rules of a container come before its own policy, and that before the one of its pod', () => {
  const rules = [rule('Restart', 'In', 42), rule('Restart', 'NotIn', 0, 1, 42)]
  const main = named('main', { restartPolicy: 'Never', restartPolicyRules: rules })
  const after = (exitCode: number) => plan({ containers: [main] }, { containers: [exited('main', exitCode)] })
  assert.deepEqual(after(42), ['start main 1'])
  assert.deepEqual(after(7), ['start main 1'])
  assert.deepEqual(after(1), ['finish'])
  assert.deepEqual(after(0), ['finish'])
  const own = named('main', { restartPolicy: 'OnFailure' })
  const over = { containers: [exited('main', 3)] }
  assert.deepEqual(plan({ containers: [own], restartPolicy: 'Never' }, over), ['start main 1'])
  const init = named('init', { restartPolicy: 'Never' })
  const failed = { containers: [exited('init', 1)] }
  assert.deepEqual(plan({ initContainers: [init] }, failed), ['finish'])
})

test('a rule that restarts all containers ends the others and begins with the init containers', () => {
  const rules = [rule('RestartAllContainers', 'In', 88)]
  const spec: Partial<PodSpec> = {
    restartPolicy: 'Never',
    initContainers: [named('init')],
    containers: [named('main'), named('watch', { restartPolicy: 'Never', restartPolicyRules: rules })],
  }
  const init = exited('init', 0, { finishedAt: 1 })
  const cause = exited('watch', 88)
  const killed = exited('main', 137, { finishedAt: NOW })
  const fresh = { createdAt: NOW, attempt: 1, id: 'new' }
  assert.deepEqual(plan(spec, { containers: [init, running('main'), cause] }), [
    'kill main: Container main will be restarted, as container watch exited',
  ])
  const ended = [init, killed, cause]
  assert.deepEqual(plan(spec, { containers: ended }), ['start init 1'])
  // Its start was under way when the cause ended; the init container comes first.
  const stray = running('main', fresh)
  assert.deepEqual(plan(spec, { containers: [...ended, stray] }), [
    'kill main: Container main will be restarted, as container watch exited',
  ])
  const again = [...ended, exited('init', 0, { ...fresh, finishedAt: NOW })]
  assert.deepEqual(plan(spec, { containers: again }), ['start main 1', 'start watch 1'])
  const backoff = (name: string) =>
    name === 'watch' ? { delayMs: 20_000, updatedAtMs: NOW - 5_000 } : undefined
  assert.deepEqual(plan(spec, { containers: ended, backoff }), ['back off watch 20000 until 19000'])
  assert.deepEqual(plan(spec, { containers: [init, killed, exited('watch', 1)] }), ['finish'])
})
