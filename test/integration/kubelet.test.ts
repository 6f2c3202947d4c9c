/** The kubelet with the process runtime against the real API server, scheduler and controllers in this process. */
import assert from 'node:assert/strict'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { request } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { systemClock } from '../../src/base/clock.ts'
import { createLog } from '../../src/base/log.ts'
import { systemRandom } from '../../src/base/random.ts'
import { isNotFound } from '../../src/client/kube-client.ts'
import { CONFIG_MAPS, EVENTS, NODES, PODS, SECRETS } from '../../src/client/resources.ts'
import { mirrorOf } from '../../src/kube/mirror-address.ts'
import type { ConfigMap, Event, Node, Pod, PodSpec, Secret } from '../../src/kube/types.ts'
import { createKubelet, type Kubelet, readHostFacts } from '../../src/runtime/kubelet/kubelet.ts'
import { createProcessRuntime } from '../../src/runtime/kubelet/runtime/process/process-runtime.ts'
import { type InProcessCluster, startInProcessCluster } from '../support/in-process-cluster.ts'
import { createTestPki, type TestPki } from '../support/kubelet-pki.ts'
import { until } from '../support/until.ts'

const NODE = 'node-a'
const ADDRESS = '127.0.0.1'
const PORT = 20_000 + (process.pid % 10_000)

describe('kubelet', () => {
  let cluster: InProcessCluster
  let directory = ''
  let kubelet: Kubelet
  let pki: TestPki

  const open = () => {
    const level = process.env['MK8S_TEST_LOG'] === 'debug' ? 'debug' : 'warn'
    const log = createLog({ level, now: Date.now, write: line => void process.stderr.write(line) })
    const shared = { clock: systemClock, random: systemRandom, log }
    return createKubelet({
      ...shared,
      transport: cluster.transportFor({
        username: `system:node:${NODE}`,
        groups: ['system:nodes', 'system:authenticated'],
      }),
      runtime: createProcessRuntime({ ...shared, directory: join(directory, 'containers') }),
      nodeName: NODE,
      nodeAddress: ADDRESS,
      directories: {
        pods: join(directory, 'pods'),
        logs: join(directory, 'logs'),
        volumes: join(directory, 'volumes'),
        plugins: join(directory, 'plugins'),
        pluginRegistry: join(directory, 'plugins_registry'),
      },
      ports: { kubelet: PORT },
      certificates: pki.server,
      settings: {
        clusterDns: '10.152.183.10',
        clusterDomain: 'cluster.local',
        serviceCidr: '10.152.183.0/24',
        serviceAddress: mirrorOf,
      },
      host: readHostFacts(directory),
      version: 'v1.36.0+test',
    })
  }

  const startKubelet = async () => {
    kubelet = open()
    const { signal } = new AbortController()
    await kubelet.prepare(signal)
    await kubelet.start(signal)
  }

  before(async () => {
    directory = await mkdtemp(join(tmpdir(), 'mk8s-kubelet-'))
    await mkdir(join(directory, 'data'))
    cluster = await startInProcessCluster()
    pki = await createTestPki()
    await startKubelet()
  })

  after(async () => {
    await kubelet.stopWorkloads()
    await kubelet.stop()
    await cluster.stop()
    await rm(directory, { recursive: true, force: true })
  })

  const create = (name: string, spec: Partial<PodSpec>) =>
    cluster.client.create<Pod>(PODS, {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name, namespace: 'default' },
      spec: {
        automountServiceAccountToken: false,
        terminationGracePeriodSeconds: 5,
        containers: [],
        ...spec,
      },
    })
  const get = (name: string) => cluster.client.get<Pod>(PODS, { namespace: 'default', name })
  const statusOf = (pod: Pod, container = 'main') =>
    pod.status?.containerStatuses?.find(({ name }) => name === container)
  const conditionOf = (pod: Pod, type: string) =>
    pod.status?.conditions?.find(condition => condition.type === type)
  const isReady = (pod: Pod) => conditionOf(pod, 'Ready')?.status === 'True' && pod
  const gone = (name: string) => until(`pod ${name} gone`, () => get(name).then(() => false, isNotFound))
  const reasons = async (name: string) => {
    const { items } = await cluster.client.list<Event>(EVENTS, { namespace: 'default' })
    return items.filter(({ involvedObject }) => involvedObject.name === name).map(({ reason }) => reason)
  }
  const logOf = (path: string, withCertificate = true) => fetchTls(pki, path, withCertificate)

  test('the node registers itself, ready, with its facts', async () => {
    const node = await cluster.client.get<Node>(NODES, { name: NODE })
    assert.equal(node.metadata.labels?.['kubernetes.io/hostname'], NODE)
    assert.equal(node.status?.conditions?.find(({ type }) => type === 'Ready')?.status, 'True')
    assert.match(node.status?.nodeInfo?.containerRuntimeVersion ?? '', /^process:/)
    assert.ok(Number(node.status?.capacity?.['pods']) > 0)
    assert.deepEqual(kubelet.health(), { ok: true, reason: '' })
  })

  test('a pod runs with environment and volumes, logs, and is deleted within its grace period', async () => {
    await cluster.client.create<ConfigMap>(CONFIG_MAPS, {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name: 'settings', namespace: 'default' },
      data: { greeting: 'hello', 'app.conf': 'first' },
    })
    await cluster.client.create<Secret>(SECRETS, {
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { name: 'secret', namespace: 'default' },
      data: { password: Buffer.from('pass').toString('base64') },
    })
    await create('web', {
      containers: [
        {
          name: 'main',
          image: 'example/web',
          command: [
            'sh',
            '-c',
            'echo $GREETING $POD_IP $BOTH; cat /etc/mk8s-test/app.conf; echo; exec sleep 600',
          ],
          env: [
            { name: 'POD_IP', valueFrom: { fieldRef: { fieldPath: 'status.podIP' } } },
            { name: 'GREETING', valueFrom: { configMapKeyRef: { name: 'settings', key: 'greeting' } } },
            { name: 'BOTH', value: '$(GREETING)/$(POD_IP)' },
          ],
          envFrom: [{ prefix: 'S_', secretRef: { name: 'secret' } }],
          volumeMounts: [{ name: 'conf', mountPath: '/etc/mk8s-test' }],
        },
      ],
      volumes: [{ name: 'conf', configMap: { name: 'settings' } }],
    })
    const pod = await until('web ready', async () => isReady(await get('web')))
    assert.equal(pod.status?.phase, 'Running')
    assert.match(pod.status?.podIP ?? '', /^127\.1\.0\.\d+$/)
    assert.equal(pod.status?.hostIP, ADDRESS)
    assert.equal(pod.status?.qosClass, 'BestEffort')
    assert.equal(statusOf(pod)?.restartCount, 0)
    assert.equal(statusOf(pod)?.started, true)
    assert.equal(conditionOf(pod, 'Initialized')?.status, 'True')
    assert.equal(conditionOf(pod, 'Ready')?.reason, undefined)
    assert.equal(conditionOf(pod, 'Ready')?.message, undefined)
    assert.equal(conditionOf(pod, 'PodReadyToStartContainers')?.status, 'True')
    const ip = pod.status?.podIP
    const path = '/containerLogs/default/web/main'
    const log = await until('log', async () => {
      const { body } = await logOf(path)
      return body.includes('first') && body
    })
    assert.equal(log, `hello ${ip} hello/${ip}\nfirst\n`)
    assert.equal((await logOf(`${path}?tailLines=1`)).body, 'first\n')
    assert.match((await logOf(`${path}?timestamps=true&tailLines=1`)).body, /^\d{4}-.*Z first\n$/)
    assert.equal((await logOf(`${path}?limitBytes=3`)).body, 'hel')
    assert.equal((await logOf(`${path}?previous=true`)).status, 400)
    assert.deepEqual(await logOf(path, false), { status: 401, body: 'Unauthorized' })
    assert.deepEqual(await logOf('/healthz', false), { status: 200, body: 'ok' })
    assert.equal((await logOf('/exec/default/web/main')).status, 400)
    await until('events', async () => (await reasons('web')).includes('Started'))
    await cluster.client.delete(PODS, { namespace: 'default', name: 'web' })
    await gone('web')
    await assert.rejects(readFile(join(directory, 'pods', pod.metadata.uid ?? '')), { code: 'ENOENT' })
  })

  test('a pod waits for the ConfigMap it names, and starts when it comes', async () => {
    const env = [{ name: 'A', valueFrom: { configMapKeyRef: { name: 'later', key: 'a' } } }]
    const main = { name: 'main', image: 'x', command: ['sleep', '600'], env }
    await create('waits', { containers: [main] })
    const waiting = await until('config error', async () => {
      const pod = await get('waits')
      return statusOf(pod)?.state?.waiting?.reason === 'CreateContainerConfigError' && pod
    })
    assert.equal(waiting.status?.phase, 'Pending')
    assert.equal(statusOf(waiting)?.state?.waiting?.message, 'configmap "later" not found')
    await cluster.client.create<ConfigMap>(CONFIG_MAPS, {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name: 'later', namespace: 'default' },
      data: { a: '1' },
    })
    await until('waits ready', async () => isReady(await get('waits')))
    await cluster.client.delete(PODS, { namespace: 'default', name: 'waits', gracePeriodSeconds: 0 })
    await gone('waits')
  })

  test('init containers run first, and a pod that may not restart succeeds or fails', async () => {
    const shared = { volumeMounts: [{ name: 'shared', mountPath: '/mk8s-shared' }], image: 'x' }
    const script = (text: string) => ({ ...shared, command: ['sh', '-c', text] })
    await create('done', {
      restartPolicy: 'Never',
      volumes: [{ name: 'shared', emptyDir: {} }],
      initContainers: [{ name: 'init', ...script('echo 1 >/mk8s-shared/a') }],
      containers: [{ name: 'main', ...script('cat /mk8s-shared/a >/dev/termination-log') }],
    })
    const done = await until('done', async () => {
      const pod = await get('done')
      return pod.status?.phase === 'Succeeded' && pod
    })
    assert.equal(done.status?.initContainerStatuses?.[0]?.state?.terminated?.reason, 'Completed')
    assert.equal(statusOf(done)?.state?.terminated?.message, '1\n')
    assert.equal(conditionOf(done, 'Ready')?.reason, 'PodCompleted')
    await create('fails', {
      restartPolicy: 'Never',
      containers: [{ name: 'main', image: 'x', command: ['sh', '-c', 'exit 7'] }],
    })
    const failed = await until('failed', async () => {
      const pod = await get('fails')
      return pod.status?.phase === 'Failed' && pod
    })
    assert.equal(statusOf(failed)?.state?.terminated?.exitCode, 7)
  })

  test('exit codes decide what is started again: the container, or all of the pod', async () => {
    const mount = { image: 'x', volumeMounts: [{ name: 'notes', mountPath: '/mk8s-notes' }] }
    const script = (text: string) => ({ ...mount, command: ['sh', '-c', `cd /mk8s-notes; ${text}`] })
    const restarts = (action: string) => ({
      restartPolicy: 'Never',
      restartPolicyRules: [{ action, exitCodes: { operator: 'In', values: [42] } }],
    })
    await create('by-code', {
      restartPolicy: 'Never',
      volumes: [{ name: 'notes', emptyDir: {} }],
      initContainers: [{ name: 'init', ...script('echo init >>log') }],
      containers: [
        { name: 'once', ...script('mkdir once && exit 42; exit 0'), ...restarts('Restart') },
        { name: 'main', ...script('echo main >>log; test -e all && exit 0; exec sleep 600') },
        {
          name: 'watch',
          ...script(
            'until test -d once; do sleep 0.1; done; mkdir all && exit 42; cat log >/dev/termination-log',
          ),
          ...restarts('RestartAllContainers'),
        },
      ],
    })
    const pod = await until('by-code over', async () => {
      const found = await get('by-code')
      assert.notEqual(found.status?.phase, 'Failed')
      return found.status?.phase === 'Succeeded' && found
    })
    const counts = ['main', 'watch'].map(name => statusOf(pod, name)?.restartCount)
    assert.deepEqual(counts, [1, 1])
    assert.ok((statusOf(pod, 'once')?.restartCount ?? 0) >= 1)
    assert.match(statusOf(pod, 'watch')?.state?.terminated?.message ?? '', /^init\nmain\ninit\n/)
  })

  test('a container that crashes is restarted at once and then backs off', async () => {
    await create('crash', {
      containers: [{ name: 'main', image: 'x', command: ['sh', '-c', 'echo $$; exit 1'] }],
    })
    const pod = await until('back-off', async () => {
      const found = await get('crash')
      return statusOf(found)?.state?.waiting?.reason === 'CrashLoopBackOff' && found
    })
    assert.equal(statusOf(pod)?.restartCount, 1)
    assert.equal(statusOf(pod)?.lastState?.terminated?.exitCode, 1)
    assert.match(
      statusOf(pod)?.state?.waiting?.message ?? '',
      /^back-off 10s restarting failed container=main/,
    )
    assert.equal((await logOf('/containerLogs/default/crash/main?previous=true')).status, 200)
    await until('BackOff event', async () => (await reasons('crash')).includes('BackOff'))
    await cluster.client.delete(PODS, { namespace: 'default', name: 'crash', gracePeriodSeconds: 0 })
  })

  test('readiness follows its probe, and a failed liveness probe restarts the container', async () => {
    const flag = join(directory, 'data', 'ready')
    const probe = { periodSeconds: 1, failureThreshold: 1 }
    const main = {
      name: 'main',
      image: 'x',
      command: ['sleep', '600'],
      readinessProbe: { ...probe, exec: { command: ['test', '-e', '/mk8s-flags/ready'] } },
      livenessProbe: { ...probe, exec: { command: ['test', '!', '-e', '/mk8s-flags/ready.dead'] } },
    }
    await create('probed', {
      containers: [{ ...main, volumeMounts: [{ name: 'flags', mountPath: '/mk8s-flags' }] }],
      volumes: [{ name: 'flags', hostPath: { path: join(directory, 'data') } }],
    })
    const unready = await until('unready', async () => {
      const pod = await get('probed')
      return pod.status?.phase === 'Running' && pod
    })
    assert.equal(conditionOf(unready, 'Ready')?.reason, 'ContainersNotReady')
    assert.equal(conditionOf(unready, 'Ready')?.message, 'containers with unready status: [main]')
    await writeFile(flag, '')
    await until('ready', async () => isReady(await get('probed')))
    await writeFile(`${flag}.dead`, '')
    await until('restarted', async () => (statusOf(await get('probed'))?.restartCount ?? 0) > 0)
    await until('events', async () => (await reasons('probed')).includes('Killing'))
    await cluster.client.delete(PODS, { namespace: 'default', name: 'probed', gracePeriodSeconds: 0 })
    await gone('probed')
  })

  test('readiness is told while a pod is being ended', async () => {
    const main = {
      ...{ name: 'main', image: 'x', command: ['sh', '-c', 'trap "" TERM; sleep 600 & wait; wait'] },
      readinessProbe: {
        ...{ periodSeconds: 1, failureThreshold: 1 },
        exec: { command: ['test', '-e', '/mk8s-flags/serving'] },
      },
    }
    await writeFile(join(directory, 'data', 'serving'), '')
    await create('leaving', {
      ...{ nodeName: NODE, terminationGracePeriodSeconds: 600 },
      containers: [{ ...main, volumeMounts: [{ name: 'flags', mountPath: '/mk8s-flags' }] }],
      volumes: [{ name: 'flags', hostPath: { path: join(directory, 'data') } }],
    })
    await until('leaving is ready', async () => isReady(await get('leaving')))
    await cluster.client.delete(PODS, { namespace: 'default', name: 'leaving' })
    assert.ok(isReady(await get('leaving')))
    await rm(join(directory, 'data', 'serving'))
    const unready = await until('leaving is unready', async () => {
      const pod = await get('leaving')
      return !isReady(pod) && pod
    })
    assert.equal(unready.status?.phase, 'Running')
    assert.equal(statusOf(unready)?.ready, false)
    await cluster.client.delete(PODS, { namespace: 'default', name: 'leaving', gracePeriodSeconds: 0 })
    await gone('leaving')
  })

  test('a pod that asks for more than the node has is refused, whoever chose the node for it', async () => {
    const main = { name: 'main', image: 'none', command: ['true'], resources: { requests: { cpu: '1k' } } }
    await create('greedy', { nodeName: NODE, containers: [main] })
    const refused = await until('greedy is refused', async () => {
      const pod = await get('greedy')
      return pod.status?.phase === 'Failed' && pod
    })
    assert.equal(refused.status?.reason, 'OutOfcpu')
    assert.match(
      refused.status?.message ?? '',
      /^Pod was rejected: Node didn't have enough resource: cpu, requested: 1000000, used: \d+, capacity: \d+$/,
    )
  })

  test('a pod ends for a critical one, is as ready as its containers meanwhile, and says why', async () => {
    const node = await cluster.client.get<Node>(NODES, { name: NODE })
    const flags = join(directory, 'data')
    await writeFile(join(flags, 'serving'), '')
    const main = {
      ...{ name: 'main', image: 'x' },
      command: ['sh', '-c', 'trap "" TERM; until test -e /mk8s-flags/over; do sleep 0.1; done'],
      resources: { requests: { cpu: String(node.status?.allocatable?.['cpu']) } },
      readinessProbe: {
        ...{ periodSeconds: 1, failureThreshold: 1 },
        exec: { command: ['test', '-e', '/mk8s-flags/serving'] },
      },
      volumeMounts: [{ name: 'flags', mountPath: '/mk8s-flags' }],
    }
    await create('modest', {
      ...{ nodeName: NODE, terminationGracePeriodSeconds: 600, containers: [main] },
      volumes: [{ name: 'flags', hostPath: { path: flags } }],
    })
    await until('modest is ready', async () => isReady(await get('modest')))
    const asks = {
      name: 'main',
      image: 'x',
      command: ['sleep', '600'],
      resources: { requests: { cpu: '100m' } },
    }
    await create('urgent', { nodeName: NODE, priorityClassName: 'system-node-critical', containers: [asks] })
    await until('modest is to end', async () => (await reasons('modest')).includes('Preempting'))
    assert.ok(isReady(await get('modest')))
    await rm(join(flags, 'serving'))
    const unready = await until('modest is unready', async () => {
      const pod = await get('modest')
      return !isReady(pod) && pod
    })
    assert.deepEqual([unready.status?.phase, unready.status?.reason], ['Running', undefined])
    await writeFile(join(flags, 'over'), '')
    const ended = await until('modest has ended', async () => {
      const pod = await get('modest')
      return pod.status?.phase === 'Failed' && pod
    })
    assert.equal(ended.status?.reason, 'Preempting')
    assert.equal(ended.status?.message, 'Preempted in order to admit critical pod')
    const told = 'Pod was preempted by Kubelet to accommodate a critical pod.'
    assert.equal(conditionOf(ended, 'DisruptionTarget')?.message, told)
    await until('urgent is ready', async () => isReady(await get('urgent')))
    for (const name of ['modest', 'urgent']) {
      await cluster.client.delete(PODS, { namespace: 'default', name, gracePeriodSeconds: 0 })
      await gone(name)
    }
  })

  test('a container without a command gets a clear error', async () => {
    await create('bare', { containers: [{ name: 'main', image: 'nginx' }] })
    const pod = await until('error', async () => {
      const found = await get('bare')
      return statusOf(found)?.state?.waiting?.reason === 'CreateContainerError' && found
    })
    assert.match(
      statusOf(pod)?.state?.waiting?.message ?? '',
      /process runtime needs spec.containers\[\].command/,
    )
    await cluster.client.delete(PODS, { namespace: 'default', name: 'bare', gracePeriodSeconds: 0 })
    await gone('bare')
  })

  test('a restarted kubelet finds running pods untouched, and ends what was deleted meanwhile', async () => {
    const main = { name: 'main', image: 'x', command: ['sleep', '600'] }
    await create('stays', { containers: [main] })
    await create('leaves', { containers: [main] })
    const before = await until('stays ready', async () => isReady(await get('stays')))
    await until('leaves ready', async () => isReady(await get('leaves')))
    await kubelet.stop()
    await cluster.client.delete(PODS, { namespace: 'default', name: 'leaves', gracePeriodSeconds: 0 })
    await startKubelet()
    await cluster.client.create<ConfigMap>(CONFIG_MAPS, {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name: 'after-restart', namespace: 'default' },
    })
    await create('next', { containers: [main] })
    await until('next ready', async () => isReady(await get('next')))
    const later = await get('stays')
    assert.equal(statusOf(later)?.containerID, statusOf(before)?.containerID)
    assert.equal(statusOf(later)?.restartCount, 0)
    assert.equal(conditionOf(later, 'Ready')?.status, 'True')
    assert.equal(
      conditionOf(later, 'Ready')?.lastTransitionTime,
      conditionOf(before, 'Ready')?.lastTransitionTime,
    )
    await until('orphan ended', async () => (await logOf('/pods')).body.includes('"leaves"') === false)
  })
})

function fetchTls(
  pki: TestPki,
  path: string,
  withCertificate: boolean,
): Promise<{ status: number; body: string }> {
  return new Promise((resolve, reject) => {
    const identity = withCertificate ? pki.client : {}
    const options = { host: ADDRESS, port: PORT, path, rejectUnauthorized: false, agent: false as const }
    const outgoing = request({ ...options, ...identity }, answer => {
      const chunks: Buffer[] = []
      answer.on('data', (chunk: Buffer) => chunks.push(chunk))
      answer.once('end', () =>
        resolve({ status: answer.statusCode ?? 0, body: Buffer.concat(chunks).toString() }),
      )
    })
    outgoing.once('error', reject)
    outgoing.end()
  })
}
