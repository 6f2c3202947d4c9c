/** Jobs, endpoints and rollouts with the real kubectl, on a real node. */
import assert from 'node:assert/strict'
import test, { after, before } from 'node:test'
import { installCluster, type TestCluster } from '../support/cluster.ts'
import { until } from '../support/until.ts'

let cluster: TestCluster
before(async () => {
  cluster = await installCluster()
})
after(() => cluster.remove())

const waitFor = (condition: string, name: string) =>
  cluster.kubectl.ok(['wait', `--for=condition=${condition}`, `job/${name}`, '--timeout=120s'])

test('kubectl create job runs to completion, and describe and get tell it', async () => {
  const { kubectl } = cluster
  await kubectl.ok(['create', 'job', 'hello', '--image=busybox', '--', 'sh', '-c', 'echo hello from a job'])
  await waitFor('complete', 'hello')
  assert.match(await kubectl.ok(['get', 'jobs']), /^hello +Complete +1\/1 /m)
  assert.match(await kubectl.ok(['logs', 'job/hello']), /hello from a job/)
  const described = await until('the events', async () => {
    const text = await kubectl.ok(['describe', 'job', 'hello'])
    return /Normal +Completed +\S+ +job-controller +Job completed/.test(text) && text
  })
  assert.match(described, /Normal +SuccessfulCreate +\S+ +job-controller +Created pod: hello-/)
  assert.match(described, /Pods Statuses: +0 Active \(0 Ready\) \/ 1 Succeeded \/ 0 Failed/)
  await kubectl.ok(['delete', 'job', 'hello'])
  await until('its pods are gone', async () => (await kubectl.ok(['get', 'pods', '-o', 'name'])) === '')
})

test('an indexed job tells each container its index', async () => {
  const { kubectl } = cluster
  const container = { name: 'c', image: 'i', command: ['sh', '-c', 'echo index $JOB_COMPLETION_INDEX'] }
  const job = {
    apiVersion: 'batch/v1',
    kind: 'Job',
    metadata: { name: 'many' },
    spec: {
      completions: 3,
      parallelism: 3,
      completionMode: 'Indexed',
      template: { spec: { restartPolicy: 'Never', containers: [container] } },
    },
  }
  await kubectl.ok(['create', '-f', '-'], { input: JSON.stringify(job) })
  await waitFor('complete', 'many')
  const logs = await kubectl.ok(['logs', '-l', 'batch.kubernetes.io/job-name=many'])
  assert.deepEqual(logs.trim().split('\n').sort(), ['index 0', 'index 1', 'index 2'])
})

test('a job that fails says why', async () => {
  const { kubectl } = cluster
  const container = { name: 'c', image: 'i', command: ['sh', '-c', 'exit 7'] }
  const spec = { backoffLimit: 0, template: { spec: { restartPolicy: 'Never', containers: [container] } } }
  const job = { apiVersion: 'batch/v1', kind: 'Job', metadata: { name: 'bad' }, spec }
  await kubectl.ok(['create', '-f', '-'], { input: JSON.stringify(job) })
  await waitFor('failed', 'bad')
  assert.match(await kubectl.ok(['get', 'job', 'bad']), /^bad +Failed +0\/1 /m)
  assert.match(await kubectl.ok(['describe', 'job', 'bad']), /BackoffLimitExceeded/)
})

test('kubectl get endpoints shows what a service reaches', async () => {
  const { kubectl } = cluster
  await kubectl.ok(['create', 'deployment', 'web', '--image=i', '--port=8080', '--', 'sleep', '600'])
  await kubectl.ok(['expose', 'deployment', 'web', '--port=80', '--target-port=8080'])
  const podIp = ['get', 'pod', '-l', 'app=web', '-o', 'jsonpath={.items[0].status.podIP}']
  await until('its address', async () => {
    const ip = await kubectl.ok(podIp)
    return ip.startsWith('127.') && (await kubectl.ok(['get', 'endpoints'])).includes(` ${ip}:8080 `)
  })
  const { stderr } = await kubectl.try(['get', 'endpoints'])
  assert.match(stderr, /v1 Endpoints is deprecated in v1\.33\+; use discovery\.k8s\.io\/v1 EndpointSlice/)
  await kubectl.ok(['delete', 'service', 'web'])
  await until('they are gone', async () => (await kubectl.try(['get', 'endpoints', 'web'])).code !== 0)
})

test('kubectl rollout undo brings the former template back', async () => {
  const { kubectl } = cluster
  const image = () => kubectl.ok(['get', 'deployment', 'roll', '-o', 'jsonpath={..image}'])
  const done = () => kubectl.ok(['rollout', 'status', 'deployment/roll', '--timeout=120s'])
  await kubectl.ok(['create', 'deployment', 'roll', '--image=one', '--', 'sleep', '600'])
  await done()
  await kubectl.ok(['set', 'image', 'deployment/roll', '*=two'])
  await done()
  assert.match(await kubectl.ok(['rollout', 'history', 'deployment/roll']), /^1 +<none>\n2 +<none>$/m)
  await kubectl.ok(['rollout', 'undo', 'deployment/roll'])
  await done()
  assert.equal(await image(), 'one')
  assert.match(await kubectl.ok(['rollout', 'history', 'deployment/roll']), /^2 +<none>\n3 +<none>$/m)
  await kubectl.ok(['rollout', 'undo', 'deployment/roll', '--to-revision=2'])
  await done()
  assert.equal(await image(), 'two')
})
