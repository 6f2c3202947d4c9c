/** Behaviours that conformance asks of sig-node, seen with real kubectl: real containers of the runtime `oci`. */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { isDeepStrictEqual } from 'node:util'
import type { Pod } from '../../src/kube/types.ts'
import { type ContainerCluster, startContainerCluster } from '../support/container-cluster.ts'
import { whyNoOci } from '../support/oci.ts'
import { hasEnded, isReady, type PodResults, phaseOf, podResults } from '../support/pod-results.ts'
import { behaviours, once, staying } from './node-behaviours.ts'
import { containersOf, resizes } from './node-resizes.ts'

const MEMORY = 'cat /sys/fs/cgroup/memory/memory.limit_in_bytes 2>/dev/null || cat /sys/fs/cgroup/memory.max'
const SERVER = 'mkdir /www; cd /www; touch exec-post exec-pre http-post http-pre; exec httpd -f -vv -p 8080'

const podOf = (name: string, spec: object, labels: object = {}) => ({
  ...{ apiVersion: 'v1', kind: 'Pod', metadata: { name, labels }, spec },
})

/** Pods of the tests that do more than look at one; they start with the others. */
const besides = [
  ...resizes.map(({ before }, index) =>
    podOf(`r${index}`, staying({}, { containers: containersOf(before) })),
  ),
  podOf('failing', staying({ command: ['false'] })),
  podOf(
    'mended',
    staying(
      {
        env: [{ name: 'PLACE', valueFrom: { fieldRef: { fieldPath: "metadata.annotations['place']" } } }],
        volumeMounts: [{ name: 'scratch', mountPath: '/part', subPathExpr: '$(PLACE)/here' }],
      },
      { volumes: [{ name: 'scratch', emptyDir: {} }] },
    ),
  ),
  podOf('deadline', staying({})),
  podOf('witness', staying({ command: ['sh', '-c', SERVER] })),
  podOf('whole', once(`${MEMORY}; sleep 2`, { resources: { limits: { cpu: '500m', memory: '48Mi' } } }), {
    says: '',
  }),
  podOf('crowd', once('for i in $(seq 300); do sleep 5 & done; wait'), { says: '' }),
]

describe('[sig-node]', { skip: whyNoOci() ?? false }, () => {
  let cluster: ContainerCluster
  let pods: PodResults

  const refused = async (input: object) => {
    const ran = await cluster.kubectl.try(['create', '-f', '-'], { input: JSON.stringify(input) })
    assert.notEqual(ran.code, 0, ran.stdout)
    return ran.stderr
  }

  before(async () => {
    cluster = await startContainerCluster('oci', 'node', ['--pod-pids-limit', '200'])
    pods = podResults(cluster.kubectl)
    await cluster.apply(
      { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'settings' }, data: { one: '1', two: '2' } },
      { apiVersion: 'v1', kind: 'Secret', metadata: { name: 'hidden' }, stringData: { key: 'value' } },
      ...besides,
      ...behaviours.map(({ pod, says }, index) =>
        podOf(`b${index}`, pod, says === undefined ? {} : { says: '' }),
      ),
    )
  })
  after(() => cluster?.remove())

  for (const [index, { name, says, shows = [] }] of behaviours.entries()) {
    test(name, async () => {
      const pod = `b${index}`
      const wanted = shows.map(([, value]) => String(value)).join(', ')
      await pods.when(pod, wanted, now => shows.every(([of, value]) => value.test(String(of(now)))))
      if (says === undefined) return
      const ended = await pods.when(pod, 'its end', hasEnded)
      assert.match(await pods.logOf(pod), says)
      assert.equal(phaseOf(ended), 'Succeeded')
    })
  }

  test('Container Lifecycle Hook when create a pod with lifecycle hook should execute poststart exec hook properly, poststart http hook, prestop exec hook, prestop http hook; PreStop should call prestop when killing a pod', async () => {
    const host = (await pods.when('witness', 'readiness', isReady)).status?.podIP
    const http = (word: string) => ({ httpGet: { host, port: 8_080, path: `/${word}` } })
    const exec = (word: string) => ({
      exec: { command: ['wget', '-q', '-O-', `http://${host}:8080/${word}`] },
    })
    await cluster.apply(
      podOf('hook-exec', staying({ lifecycle: { postStart: exec('exec-post'), preStop: exec('exec-pre') } })),
      podOf('hook-http', staying({ lifecycle: { postStart: http('http-post'), preStop: http('http-pre') } })),
    )
    const both = ['hook-exec', 'hook-http']
    for (const name of both) await pods.when(name, 'readiness', isReady)
    await cluster.kubectl.ok(['delete', 'pod', ...both])
    const log = await cluster.kubectl.ok(['logs', 'witness'])
    for (const word of ['exec-post', 'exec-pre', 'http-post', 'http-pre']) {
      assert.match(log, new RegExp(`url:/${word}`))
    }
  })

  for (const [index, { name, before, after, replaces }] of resizes.entries()) {
    test(name, async () => {
      const pod = await pods.when(`r${index}`, 'readiness', isReady)
      if (replaces) {
        const containers = pod.spec?.containers.map((each, at) => ({ ...each, resources: after[at] }))
        const input = JSON.stringify({ ...pod, spec: { ...pod.spec, containers } })
        await cluster.kubectl.ok(['replace', '--subresource=resize', '-f', '-'], { input })
      } else {
        const resized = containersOf(after).map(({ name: container, resources }) => ({
          name: container,
          resources,
        }))
        const patch = JSON.stringify({ spec: { containers: resized } })
        await cluster.kubectl.ok(['patch', 'pod', `r${index}`, '--subresource=resize', '-p', patch])
      }
      const found = (now: Pod) =>
        after.map((_, at) => now.status?.containerStatuses?.find(each => each.name === `c${at + 1}`))
      const fits = (now: Pod) =>
        found(now).every((status, at) => {
          const { requests = {}, limits = {} } = status?.resources ?? {}
          const wanted = after[at]
          return isDeepStrictEqual({ requests, limits }, { requests: {}, limits: {}, ...wanted })
        })
      const done = await pods.when(`r${index}`, `resources ${JSON.stringify(after)}`, fits)
      assert.deepEqual(
        found(done).map(status => status?.restartCount),
        before.map(() => 0),
      )
    })
  }

  test('Kubelet when scheduling a busybox command that always fails in a pod should be possible to delete', async () => {
    await pods.when(
      'failing',
      'a restart',
      pod => (pod.status?.containerStatuses?.[0]?.restartCount ?? 0) > 0,
    )
    await cluster.kubectl.ok(['delete', 'pod', 'failing', '--timeout=60s'])
  })

  test('Variable Expansion should verify that a failing subpath expansion can be modified during the lifecycle of a container', async () => {
    const waitsFor = (pod: Pod) => pod.status?.containerStatuses?.[0]?.state?.waiting?.reason
    await pods.when('mended', 'its refusal', pod => waitsFor(pod) === 'CreateContainerConfigError')
    await cluster.kubectl.ok(['annotate', 'pod', 'mended', 'place=elsewhere'])
    await pods.when('mended', 'readiness', isReady)
  })

  test('Pods should allow activeDeadlineSeconds to be updated', async () => {
    await pods.when('deadline', 'readiness', isReady)
    await cluster.kubectl.ok(['patch', 'pod', 'deadline', '-p', '{"spec":{"activeDeadlineSeconds":1}}'])
    await pods.when('deadline', 'its end', pod => pod.status?.reason === 'DeadlineExceeded')
  })

  test('Sysctls should reject invalid sysctls', async () => {
    const sysctls = [
      { name: 'foo-', value: 'bar' },
      { name: 'kernel.shmmax', value: '100000000' },
    ]
    const words = await refused(podOf('invalid', staying({}, { securityContext: { sysctls } })))
    assert.match(words, /spec\.securityContext\.sysctls\[0\]\.name: Invalid value: "foo-"/)
  })

  test('RuntimeClass should reject a Pod requesting a non-existent RuntimeClass', async () => {
    const words = await refused(podOf('classless', staying({}, { runtimeClassName: 'nonexistent' })))
    assert.match(words, /RuntimeClass "nonexistent" not found/)
  })

  test('a pod has its own group of processes, limited as the node says, and one limit for all its containers', async () => {
    const whole = await pods.when('whole', 'its end', hasEnded)
    assert.match(await pods.logOf('whole'), new RegExp(`^${48 * 2 ** 20}$`, 'm'))
    assert.equal(whole.status?.qosClass, 'Guaranteed')
    assert.equal(whole.spec?.containers[0]?.resources?.requests?.['memory'], '48Mi')
    await pods.when('crowd', 'its end', hasEnded)
    assert.match(await pods.logOf('crowd'), /can't fork|Resource temporarily unavailable/)
  })
})
