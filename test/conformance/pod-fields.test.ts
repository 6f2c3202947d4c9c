/** Fields of a pod's spec, each with a pod that shows its effect from inside, on every runtime that isolates. */
import assert from 'node:assert/strict'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import type { Pod } from '../../src/kube/types.ts'
import { readHostFacts } from '../../src/runtime/kubelet/kubelet.ts'
import { type ContainerCluster, IMAGE, startContainerCluster } from '../support/container-cluster.ts'
import { type RunOptions, run } from '../support/kubectl.ts'
import { realRuntimes } from '../support/oci.ts'
import { hasEnded, isReady, type PodResults, phaseOf, podResults } from '../support/pod-results.ts'
import { until } from '../support/until.ts'
import { fields, NO_DIRECTORIES, PROFILE, type Shown } from './pod-field-rows.ts'

/** What is refused has no log that another test would wait for. */
const podOf = ({ script, spec, metadata, container, refused }: Shown, index: number, runtime: string) => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: {
    name: `f${index}`,
    ...metadata,
    labels: { ...(refused && runtime === 'containerd' ? {} : { says: '' }), ...metadata?.labels },
  },
  spec: {
    restartPolicy: 'Never',
    terminationGracePeriodSeconds: 1,
    ...spec,
    containers: [{ name: 'main', image: IMAGE, command: ['sh', '-c', script], ...container }],
  },
})

const QUOTA = 'cat /sys/fs/cgroup/cpu/cpu.cfs_quota_us 2>/dev/null || cut -d" " -f1 /sys/fs/cgroup/cpu.max'

/** Why its first container that waits does so. */
function waitingIn({ status }: Pod): string {
  const all = [...(status?.initContainerStatuses ?? []), ...(status?.containerStatuses ?? [])]
  return all.map(({ state }) => state?.waiting?.message ?? '').find(message => message !== '') ?? ''
}

const idle = { image: IMAGE, command: ['sh', '-c', 'exec sleep 3600'] }
const resources = { requests: { cpu: '100m', memory: '32Mi' }, limits: { cpu: '200m', memory: '64Mi' } }
const resizePolicy = [{ resourceName: 'memory', restartPolicy: 'RestartContainer' }]

const staying = (name: string, ...containers: object[]) => ({
  ...{ apiVersion: 'v1', kind: 'Pod', metadata: { name } },
  spec: { terminationGracePeriodSeconds: 1, containers },
})

/** Pods of the tests that do more than look at one; they start with the others. */
const besides = [
  {
    ...staying('whole', { name: 'main', ...idle }),
    spec: {
      terminationGracePeriodSeconds: 1,
      resources: { requests: { cpu: '100m' }, limits: { cpu: '200m', memory: '64Mi' } },
      containers: [{ name: 'main', ...idle }],
    },
  },
  {
    ...staying('mapped', { name: 'main', ...idle }),
    spec: {
      hostUsers: false,
      terminationGracePeriodSeconds: 1,
      securityContext: { fsGroup: 7 },
      volumes: [
        { name: 'empty', emptyDir: {} },
        { name: 'memory', emptyDir: { medium: 'Memory' } },
        { name: 'config', configMap: { name: 'kube-root-ca.crt' } },
      ],
      containers: [
        {
          ...{ name: 'main', ...idle },
          volumeMounts: ['empty', 'memory', 'config'].map(name => ({ name, mountPath: `/${name}` })),
        },
      ],
    },
  },
  staying('armed', {
    ...{ name: 'main', ...idle },
    securityContext: { appArmorProfile: { type: 'Localhost', localhostProfile: 'none' } },
  }),
  {
    ...staying('asked'),
    spec: {
      restartPolicy: 'Never',
      containers: [
        { ...idle, name: 'main', stdin: true, stdinOnce: true, command: ['sh', '-c', 'cat; echo over'] },
      ],
    },
  },
  staying('target', { name: 'main', image: IMAGE, command: ['sh', '-c', 'exec sleep 4321'] }),
  staying(
    'resized',
    { name: 'main', ...idle, resources },
    { name: 'fresh', ...idle, resources, resizePolicy },
  ),
  {
    ...{ apiVersion: 'v1', kind: 'Pod', metadata: { name: 'hungry' } },
    spec: {
      restartPolicy: 'Never',
      containers: [
        {
          ...{ name: 'main', image: IMAGE, resources: { limits: { memory: '16Mi' } } },
          command: ['sh', '-c', 'x=a; while :; do x=$x$x; done'],
        },
      ],
    },
  },
]

for (const { runtime, why } of realRuntimes()) {
  describe(`fields of pods with ${runtime}`, { skip: why ?? false }, () => {
    let cluster: ContainerCluster
    let pods: PodResults
    const kubectl = (args: readonly string[], options: RunOptions = {}) => cluster.kubectl.ok(args, options)

    before(async () => {
      cluster = await startContainerCluster(runtime, 'fields')
      pods = podResults(cluster.kubectl)
      const profiles = join(cluster.dataDir, 'seccomp')
      mkdirSync(profiles, { recursive: true })
      writeFileSync(join(profiles, PROFILE), JSON.stringify(NO_DIRECTORIES))
      const shown = fields.flatMap((field, index) => (field.skip ? [] : [podOf(field, index, runtime)]))
      await cluster.apply(...besides, ...shown)
    })
    after(() => cluster?.remove())

    for (const [index, { field, says, refused, skip = false }] of fields.entries()) {
      test(field, { skip }, async () => {
        if (refused !== undefined && runtime === 'containerd') {
          await pods.when(`f${index}`, 'its refusal', pod => refused.test(waitingIn(pod)))
          return
        }
        const pod = await pods.when(`f${index}`, 'its end', hasEnded)
        const log = await pods.logOf(`f${index}`)
        assert.match(log, says)
        assert.equal(phaseOf(pod), 'Succeeded', log)
      })
    }

    test('an ephemeral container sees the processes of its target, and says so in the status', async () => {
      await pods.when('target', 'readiness', isReady)
      const script = 'ps -o args | grep "[s]leep 4321"'
      const debug = [
        'debug',
        'target',
        `--image=${IMAGE}`,
        '--target=main',
        '-c',
        'look',
        '--profile=general',
      ]
      await kubectl([...debug, '--', 'sh', '-c', script])
      const endOf = (pod: Pod) => pod.status?.ephemeralContainerStatuses?.[0]?.state?.terminated?.reason
      await pods.when('target', 'its end', pod => endOf(pod) === 'Completed')
      assert.match(await kubectl(['logs', 'target', '-c', 'look']), /sleep 4321/)
    })

    test('a container beyond its memory limit is OOMKilled', async () => {
      // containerd may tell of the exit first, and of its cause a moment later.
      const reasonOf = (pod: Pod) => pod.status?.containerStatuses?.[0]?.state?.terminated?.reason
      await pods.when('hungry', 'its end for want of memory', pod => reasonOf(pod) === 'OOMKilled')
    })

    const resized = (jsonpath: string) => kubectl(['get', 'pod', 'resized', '-o', `jsonpath=${jsonpath}`])
    const inside = (container: string, script: string) =>
      kubectl(['exec', 'resized', '-c', container, '--', 'sh', '-c', script])
    const resize = (container: string, resources: object) =>
      kubectl([
        ...['patch', 'pod', 'resized', '--subresource', 'resize', '--patch'],
        JSON.stringify({ spec: { containers: [{ name: container, resources }] } }),
      ])
    const statusPath = (name: string, path: string) =>
      `{.status.containerStatuses[?(@.name=="${name}")].${path}}`
    const PENDING = '{.status.conditions[?(@.type=="PodResizePending")]'

    test('a pod is resized in place, its group with it', async () => {
      await pods.when('resized', 'readiness', isReady)
      await resize('main', { requests: { cpu: '300m' }, limits: { cpu: '400m' } })
      const limit = statusPath('main', 'resources.limits.cpu')
      await until('the new limit', async () => (await resized(limit)) === '400m')
      assert.equal(await resized(statusPath('main', 'allocatedResources.cpu')), '300m')
      assert.equal(await resized(statusPath('main', 'restartCount')), '0')
      assert.equal((await inside('main', QUOTA)).trim(), '40000')
      const uid = await resized('{.metadata.uid}')
      const { stdout } = await run('find', ['/sys/fs/cgroup', '-maxdepth', '5', '-name', `pod${uid}`])
      const read = (...names: string[]) =>
        stdout
          .trim()
          .split('\n')
          .flatMap(group => names.map(name => join(group, name)))
          .filter(path => existsSync(path))
          .map(path => readFileSync(path, 'utf8').trim())
      await until("the pod's own limit", () => /^60000/.test(read('cpu.cfs_quota_us', 'cpu.max')[0] ?? ''))
      assert.deepEqual(read('cpu.shares', 'cpu.weight'), [read('cpu.shares').length > 0 ? '409' : '16'])
    })

    test('a container whose policy says so is restarted with what it is given', async () => {
      await resize('fresh', { limits: { memory: '96Mi' } })
      const restarts = statusPath('fresh', 'restartCount')
      await until('its restart', async () => (await resized(restarts)) === '1')
      await kubectl(['wait', '--for=condition=Ready', 'pod/resized', '--timeout=120s'])
      const memory =
        'cat /sys/fs/cgroup/memory/memory.limit_in_bytes 2>/dev/null || cat /sys/fs/cgroup/memory.max'
      assert.equal((await inside('fresh', memory)).trim(), String(96 * 2 ** 20))
      assert.equal(await resized(statusPath('fresh', 'resources.limits.memory')), '96Mi')
    })

    test('a resize beyond the node is infeasible until it is taken back', async () => {
      await resize('main', { requests: { cpu: '1000' }, limits: { cpu: '1000' } })
      await until('the refusal', async () => (await resized(`${PENDING}.reason}`)) === 'Infeasible')
      assert.match(
        await resized(`${PENDING}.message}`),
        /^Node didn't have enough capacity: cpu, requested: /,
      )
      assert.equal(await resized(statusPath('main', 'resources.limits.cpu')), '400m')
      const editor = 'sed -i -e s/1k/250m/'
      await kubectl(['edit', 'pod', 'resized', '--subresource', 'resize'], { env: { KUBE_EDITOR: editor } })
      await until(
        'the new limit',
        async () => (await resized(statusPath('main', 'resources.limits.cpu'))) === '250m',
      )
      assert.equal(await resized(`${PENDING}.type}`), '')
    })

    test('a container without limits of its own has what its pod is resized to', async () => {
      await pods.when('whole', 'readiness', isReady)
      const patch = JSON.stringify({ spec: { resources: { limits: { cpu: '300m' } } } })
      await kubectl(['patch', 'pod', 'whole', '--subresource', 'resize', '--patch', patch])
      const told = ['get', 'pod', 'whole', '-o', 'jsonpath={.status.resources.limits.cpu}']
      await until('the new limit', async () => (await kubectl(told)) === '300m')
      assert.equal((await kubectl(['exec', 'whole', '--', 'sh', '-c', QUOTA])).trim(), '30000')
    })

    test('a status tells whom a container runs as, its mounts and what the node keeps for it', async () => {
      const { status } = await pods.when('target', 'readiness', isReady)
      const [main] = status?.containerStatuses ?? []
      const account = main?.volumeMounts?.find(({ name }) => name.startsWith('kube-api-access'))
      assert.deepEqual([account?.readOnly, account?.recursiveReadOnly], [true, 'Disabled'])
      const expected = runtime === 'oci' ? { linux: { uid: 0, gid: 0, supplementalGroups: [0] } } : undefined
      assert.deepEqual(main?.user, expected)
      const resized = await pods.when('resized', 'readiness', isReady)
      assert.match(String(resized.status?.allocatedResources?.['memory']), /^(64|32)Mi|^1/)
    })

    test('root of a pod with a user namespace is nobody on the node, and owns the volumes', async () => {
      const { status } = await (await kubectl(['get', 'nodes', '-o', 'json']).then(JSON.parse)).items[0]
      assert.deepEqual(status.declaredFeatures, [
        'ExtendWebSocketsToKubelet',
        'InPlacePodLevelResourcesVerticalScaling',
        'RestartAllContainersOnContainerExits',
      ])
      if (runtime === 'containerd') {
        assert.equal(status.runtimeHandlers, undefined)
        return
      }
      assert.deepEqual(status.features, { supplementalGroupsPolicy: true })
      assert.equal(status.runtimeHandlers[0].features.userNamespaces, true)
      await pods.when('mapped', 'readiness', isReady)
      const inside = async (script: string) =>
        (await kubectl(['exec', 'mapped', '--', 'sh', '-c', script])).trim().split(/\s+/)
      const [zero, first, count] = await inside('cat /proc/self/uid_map')
      assert.deepEqual([zero, Number(first) % 65_536, count], ['0', 0, '65536'])
      assert.notEqual(first, '0')
      const write = 'for each in empty memory; do echo x >/$each/file; done'
      const files = '/empty/file /memory/file /config/ca.crt /etc/hosts /etc/resolv.conf'
      const owners = await inside(`${write}; cat /config/ca.crt >/dev/null && stat -L -c %u:%g ${files}`)
      assert.deepEqual(owners, ['0:7', '0:7', '0:7', '0:0', '0:0'])
    })

    test('what no runtime here can do is told and not left aside', async () => {
      if (runtime === 'containerd') {
        await until('the event', async () => {
          const told = await kubectl(['events', '--for=pod/mapped'])
          const why = 'spec.hostUsers: false`, runtime does not support user namespaces'
          return told.includes('FailedCreatePodSandBox') && told.includes(why)
        })
      }
      if (readHostFacts('/').hasAppArmor) return
      const { status } = await pods.when('armed', 'its end', hasEnded)
      const why = 'Pod was rejected: Cannot enforce AppArmor: AppArmor is not enabled on the host'
      assert.deepEqual([status?.phase, status?.reason, status?.message], ['Failed', 'AppArmor', why])
    })

    test('input that is there once ends with its first client', async () => {
      await pods.when('asked', 'readiness', isReady)
      await kubectl(['attach', '-i', 'asked'], { input: 'a word\n' })
      await pods.when('asked', 'its end', pod => phaseOf(pod) === 'Succeeded')
      assert.equal(await kubectl(['logs', 'asked']), 'a word\nover\n')
    })

    test('usage of its containers is measured', async () => {
      await until('usage of the pod', async () => {
        const text = await kubectl(['top', 'pod', 'target', '--no-headers']).catch(() => '')
        return /^target\s+\d+m\s+\d+Mi/.test(text)
      })
    })
  })
}
