/** Behaviours that conformance asks of sig-node, seen with real kubectl: real containers of the runtime `oci`. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { isDeepStrictEqual } from 'node:util'
import { must } from '../../src/base/assert.ts'
import type { Pod } from '../../src/kube/types.ts'
import { MK8S } from '../support/cluster.ts'
import { type ContainerCluster, IMAGE, startContainerCluster } from '../support/container-cluster.ts'
import { whyNoOci } from '../support/oci.ts'
import { hasEnded, isReady, type PodResults, phaseOf, podResults } from '../support/pod-results.ts'
import { until } from '../support/until.ts'
import { behaviours, often, once as shell, staying, WEB } from './node-behaviours.ts'
import { containersOf, resizes } from './node-resizes.ts'

const MEMORY = 'cat /sys/fs/cgroup/memory/memory.limit_in_bytes 2>/dev/null || cat /sys/fs/cgroup/memory.max'
const SERVER =
  'mkdir /www; cd /www; for m in poststart prestop; do touch exec-$m http-$m; done; touch killed; exec httpd -f -vv -p 8080'

const podOf = (name: string, spec: object, labels: object = {}) => ({
  ...{ apiVersion: 'v1', kind: 'Pod', metadata: { name, labels }, spec },
})

const restartsOf = (pod: Pod) => pod.status?.containerStatuses?.[0]?.restartCount ?? 0

/** Pods of the tests that do more than look at one; they start with the others. */
const besides = [
  ...resizes.map(({ before }, index) =>
    podOf(`r${index}`, staying({}, { containers: containersOf(before) })),
  ),
  podOf('debugged', staying({})),
  podOf(
    'restarts',
    staying({
      command: ['sh', '-c', `(sleep 1; rm /www/healthz) & ${WEB}`],
      livenessProbe: { httpGet: { path: '/healthz', port: 8_080 }, ...often },
    }),
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
  podOf('whole', shell(`${MEMORY}; sleep 2`, { resources: { limits: { cpu: '500m', memory: '48Mi' } } }), {
    says: '',
  }),
  podOf('crowd', shell('for i in $(seq 300); do sleep 5 & done; wait'), { says: '' }),
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

  const HOOK = 'Container Lifecycle Hook when create a pod with lifecycle hook should execute'
  for (const moment of ['poststart', 'prestop']) {
    for (const kind of ['exec', 'http']) {
      test(`${HOOK} ${moment} ${kind} hook properly`, async () => {
        const host = (await pods.when('witness', 'readiness', isReady)).status?.podIP
        const [name, path] = [`hook-${moment}-${kind}`, `/${kind}-${moment}`]
        const command = ['wget', '-q', '-O-', `http://${host}:8080${path}`]
        const action = kind === 'exec' ? { exec: { command } } : { httpGet: { host, port: 8_080, path } }
        const lifecycle = { [moment === 'poststart' ? 'postStart' : 'preStop']: action }
        const asked = async () => (await cluster.kubectl.ok(['logs', 'witness'])).includes(`url:${path}`)
        await cluster.apply(podOf(name, staying({ lifecycle })))
        await pods.when(name, 'readiness', isReady)
        assert.equal(await asked(), moment === 'poststart')
        await cluster.kubectl.ok(['delete', 'pod', name])
        assert.equal(await asked(), true)
      })
    }
  }

  test('PreStop should call prestop when killing a pod', async () => {
    const host = (await pods.when('witness', 'readiness', isReady)).status?.podIP
    const exec = { command: ['wget', '-q', '-O-', `http://${host}:8080/killed`] }
    await cluster.apply(podOf('killed', staying({ lifecycle: { preStop: { exec } } })))
    await pods.when('killed', 'readiness', isReady)
    await cluster.kubectl.ok(['delete', 'pod', 'killed'])
    assert.match(await cluster.kubectl.ok(['logs', 'witness']), /url:\/killed/)
  })

  test('Probing container should have monotonically increasing restart count', async () => {
    const restarted = await pods.when('restarts', 'a restart', pod => restartsOf(pod) > 0)
    const first = restartsOf(restarted)
    const count = ['get', 'pod', 'restarts', '-o', 'jsonpath={.status.containerStatuses[0].restartCount}']
    let last = first
    await until('the next restart', async () => {
      const now = Number(await cluster.kubectl.ok(count))
      assert.ok(now >= last, 'it never goes back')
      last = now
      return now > first
    })
  })

  const debug = (name: string) => {
    const words = ['debug', 'debugged', `--image=${IMAGE}`, '-c', name, '--profile=general', '--']
    return cluster.kubectl.ok([...words, 'sh', '-c', `echo ${name} speaks; exec sleep 3600`])
  }
  const ephemeral = (pod: Pod) =>
    (pod.status?.ephemeralContainerStatuses ?? []).filter(({ state }) => state?.running !== undefined)

  test('Ephemeral Containers will start an ephemeral container in an existing pod', async () => {
    await pods.when('debugged', 'readiness', isReady)
    await debug('first')
    await pods.when('debugged', 'the container', pod => ephemeral(pod).length === 1)
    const log = ['logs', 'debugged', '-c', 'first']
    await until('what it says', async () => (await cluster.kubectl.ok(log)) === 'first speaks\n')
  })

  test('Ephemeral Containers should update the ephemeral containers in an existing pod', async () => {
    await debug('second')
    const pod = await pods.when('debugged', 'both', now => ephemeral(now).length === 2)
    assert.deepEqual(
      pod.spec?.ephemeralContainers?.map(({ name }) => name),
      ['first', 'second'],
    )
    assert.equal(restartsOf(pod), 0)
  })

  test('ImageVolume should succeed with pod and pull policy of Always', async () => {
    const { namespace, inside } = cluster
    const program = join(import.meta.dirname, '../support/registry-program.ts')
    const [enter, ...words] = namespace.enter
    const registry = spawn(enter, [...words, process.execPath, program, namespace.address, 'hub/files'])
    try {
      const [host] = (await once(must(registry.stdout, 'output'), 'data')).toString().split('\n')
      const add = ['registry', 'add', String(host), '--mirror', `http://${host}`]
      assert.equal((await inside(MK8S, add)).code, 0)
      const image = { reference: `${host}/hub/files:1`, pullPolicy: 'Always' }
      const container = { volumeMounts: [{ name: 'v', mountPath: '/v' }] }
      const volumes = [{ name: 'v', image }]
      await cluster.apply(podOf('of-image', shell('cat /v/named', container, { volumes }), { late: '' }))
      await pods.when('of-image', 'its end', hasEnded)
      assert.equal(await cluster.kubectl.ok(['logs', 'of-image']), 'hub/files')
    } finally {
      registry.kill()
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
