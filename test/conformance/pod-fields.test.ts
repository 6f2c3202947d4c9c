/** Fields of a pod's spec, each with a pod that shows its effect from inside, on every runtime that isolates. */
import assert from 'node:assert/strict'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import type { Pod } from '../../src/kube/types.ts'
import { type ContainerCluster, IMAGE, startContainerCluster } from '../support/container-cluster.ts'
import { type RunOptions, run } from '../support/kubectl.ts'
import { realRuntimes } from '../support/oci.ts'
import { hasEnded, isReady, type PodResults, phaseOf, podResults } from '../support/pod-results.ts'
import { until } from '../support/until.ts'

const NOBODY = 65_534

interface Shown {
  readonly field: string
  readonly script: string
  /** Of the pod. */
  readonly spec?: object
  readonly metadata?: { readonly labels?: object; readonly annotations?: object }
  /** Of its container. */
  readonly container?: object
  readonly says: RegExp
}

const env = (name: string, fieldPath: string) => ({ name, valueFrom: { fieldRef: { fieldPath } } })

const mounted = { name: 'scratch', mountPath: '/scratch' }
const SCRATCH = { volumes: [{ name: 'scratch', emptyDir: {} }] }
const AT_SCRATCH = { volumeMounts: [mounted] }
/** In the node's directory of seccomp profiles. */
const PROFILE = 'no-directories.json'
const NO_DIRECTORIES = {
  defaultAction: 'SCMP_ACT_ALLOW',
  syscalls: [{ names: ['mkdir', 'mkdirat'], action: 'SCMP_ACT_ERRNO' }],
}

const fields: readonly Shown[] = [
  {
    field: 'command and args with variables',
    script: 'echo "$0 $1"',
    container: { args: ['$(WORD)', '$$(WORD)'], env: [{ name: 'WORD', value: 'expanded' }] },
    says: /^expanded \$\(WORD\)$/m,
  },
  { field: 'workingDir', script: 'pwd', container: { workingDir: '/tmp/made' }, says: /^\/tmp\/made$/m },
  {
    field: 'downward API of names, addresses and labels',
    script: 'echo "$NAME/$LABEL/$HOST"',
    metadata: { labels: { tier: 'front' } },
    container: {
      env: [
        env('NAME', 'metadata.name'),
        env('LABEL', "metadata.labels['tier']"),
        env('HOST', 'status.hostIP'),
      ],
    },
    says: /^f\d+\/front\/10\.77\.0\.11$/m,
  },
  {
    field: 'downward API of resources',
    script: 'echo "$LIMIT"',
    container: {
      env: [
        { name: 'LIMIT', valueFrom: { resourceFieldRef: { resource: 'limits.memory', divisor: '1Mi' } } },
      ],
      resources: { limits: { memory: '64Mi' } },
    },
    says: /^64$/m,
  },
  {
    field: 'runAsUser, runAsGroup and supplementalGroups',
    script: 'id -u; id -g; id -G',
    spec: { securityContext: { runAsUser: NOBODY, runAsGroup: 3_000, supplementalGroups: [4_000] } },
    says: /^65534\n3000\n3000 4000$/m,
  },
  {
    field: 'fsGroup',
    script: 'stat -c %g /scratch',
    spec: { securityContext: { fsGroup: 5_000 }, volumes: [{ name: 'scratch', emptyDir: {} }] },
    container: { volumeMounts: [{ name: 'scratch', mountPath: '/scratch' }] },
    says: /^5000$/m,
  },
  {
    field: 'readOnlyRootFilesystem',
    script: 'touch /file 2>&1 || true',
    container: { securityContext: { readOnlyRootFilesystem: true } },
    says: /Read-only file system/,
  },
  {
    field: 'capabilities',
    script: 'grep CapEff /proc/self/status',
    container: { securityContext: { capabilities: { drop: ['ALL'], add: ['NET_BIND_SERVICE'] } } },
    says: /CapEff:\s+0000000000000400/,
  },
  {
    field: 'allowPrivilegeEscalation',
    script: 'grep NoNewPrivs /proc/self/status',
    container: { securityContext: { allowPrivilegeEscalation: false } },
    says: /NoNewPrivs:\s+1/,
  },
  {
    field: 'seccompProfile',
    script: 'grep Seccomp: /proc/self/status',
    spec: { securityContext: { seccompProfile: { type: 'RuntimeDefault' } } },
    says: /Seccomp:\s+2/,
  },
  {
    field: 'safe sysctls',
    script: 'cat /proc/sys/net/ipv4/ip_unprivileged_port_start',
    spec: { securityContext: { sysctls: [{ name: 'net.ipv4.ip_unprivileged_port_start', value: '444' }] } },
    says: /^444$/m,
  },
  { field: 'hostname and subdomain', script: 'hostname', spec: { hostname: 'chosen' }, says: /^chosen$/m },
  {
    field: 'hostAliases',
    script: 'grep alias /etc/hosts',
    spec: { hostAliases: [{ ip: '192.0.2.7', hostnames: ['alias.example'] }] },
    says: /^192\.0\.2\.7\s+alias\.example/m,
  },
  {
    field: 'dnsPolicy None with dnsConfig',
    script: 'cat /etc/resolv.conf',
    spec: { dnsPolicy: 'None', dnsConfig: { nameservers: ['192.0.2.53'], searches: ['example.test'] } },
    says: /nameserver 192\.0\.2\.53/,
  },
  {
    field: 'shareProcessNamespace',
    script: 'sleep 0.2; ps | grep -c "[s]leep 77"',
    spec: { shareProcessNamespace: true, initContainers: [sidecar('sleep 77')] },
    says: /^[12]$/m,
  },
  {
    field: 'initContainers run before, in order',
    script: 'cat /scratch/order',
    spec: {
      volumes: [{ name: 'scratch', emptyDir: {} }],
      initContainers: ['first', 'second'].map(name => ({
        ...{ name, image: IMAGE, command: ['sh', '-c', `echo ${name} >>/scratch/order`] },
        volumeMounts: [{ name: 'scratch', mountPath: '/scratch' }],
      })),
    },
    container: { volumeMounts: [{ name: 'scratch', mountPath: '/scratch' }] },
    says: /^first\nsecond$/m,
  },
  {
    field: 'enableServiceLinks',
    script: 'env | grep -c KUBERNETES_SERVICE_HOST',
    spec: { enableServiceLinks: false },
    says: /^1$/m,
  },
  {
    field: 'terminationMessagePath',
    script: 'echo last words >/dev/words; cat /dev/words',
    container: { terminationMessagePath: '/dev/words' },
    says: /^last words$/m,
  },
  {
    field: 'a variable from a file of a volume',
    script: 'echo "$FROM_FILE"',
    spec: {
      ...SCRATCH,
      initContainers: [
        {
          ...{ name: 'writer', image: IMAGE, ...AT_SCRATCH },
          command: ['sh', '-c', `printf "A='first'\\nB='second'\\n" >/scratch/vars.env`],
        },
      ],
    },
    container: {
      env: [
        {
          name: 'FROM_FILE',
          valueFrom: { fileKeyRef: { volumeName: 'scratch', path: 'vars.env', key: 'B' } },
        },
      ],
    },
    says: /^second$/m,
  },
  {
    field: 'downward API of all that is left',
    script: 'echo "$NOTE/$NODE/$ACCOUNT/$IPS/$SPACE/$ID"',
    metadata: { annotations: { note: 'seen' } },
    container: {
      env: [
        ...[env('NOTE', "metadata.annotations['note']"), env('NODE', 'spec.nodeName')],
        ...[env('ACCOUNT', 'spec.serviceAccountName'), env('IPS', 'status.podIPs')],
        ...[env('SPACE', 'metadata.namespace'), env('ID', 'metadata.uid')],
      ],
    },
    says: /^seen\/n1\/default\/10\.1\.\d+\.\d+\/default\/[0-9a-f-]{36}$/m,
  },
  {
    field: 'seccompProfile Unconfined',
    script: 'grep Seccomp: /proc/self/status',
    container: { securityContext: { seccompProfile: { type: 'Unconfined' } } },
    says: /Seccomp:\s+0/,
  },
  {
    field: 'seccompProfile Localhost',
    script: 'mkdir /made 2>/dev/null || echo refused',
    container: { securityContext: { seccompProfile: { type: 'Localhost', localhostProfile: PROFILE } } },
    says: /^refused$/m,
  },
  {
    field: 'procMount Default hides parts of /proc',
    script: 'wc -c </proc/timer_list; (echo x >/proc/sys/kernel/hostname) 2>&1 || true',
    container: { securityContext: { procMount: 'Default' } },
    says: /^0\n.*Read-only file system/m,
  },
  {
    field: 'mountPropagation HostToContainer',
    script: 'grep " /scratch " /proc/self/mountinfo',
    spec: SCRATCH,
    container: { volumeMounts: [{ ...mounted, mountPropagation: 'HostToContainer' }] },
    says: / master:\d+/,
  },
  {
    field: 'recursiveReadOnly where it can be',
    script: 'touch /scratch/file 2>&1 || true',
    spec: SCRATCH,
    container: { volumeMounts: [{ ...mounted, readOnly: true, recursiveReadOnly: 'IfPossible' }] },
    says: /Read-only file system/,
  },
  {
    field: 'setHostnameAsFQDN',
    script: 'hostname',
    spec: { hostname: 'chosen', subdomain: 'sub', setHostnameAsFQDN: true },
    says: /^chosen\.sub\.default\.svc\.cluster\.local$/m,
  },
  {
    field: 'hostnameOverride',
    script: 'hostname',
    spec: { hostnameOverride: 'another.example' },
    says: /^another\.example$/m,
  },
  {
    field: 'hostPID',
    script: 'ps -o args | grep -c "[s]upervise\\|[d]aemon"',
    spec: { hostPID: true },
    says: /^[1-9]/m,
  },
  {
    field: 'restartPolicyRules',
    script: '[ -e /scratch/seen ] && echo again && exit 0; touch /scratch/seen; exit 42',
    spec: SCRATCH,
    container: {
      ...AT_SCRATCH,
      restartPolicy: 'Never',
      restartPolicyRules: [{ action: 'Restart', exitCodes: { operator: 'In', values: [42] } }],
    },
    says: /^again$/m,
  },
  { field: 'hostNetwork', script: 'ip -o addr', spec: { hostNetwork: true }, says: /10\.77\.0\.11/ },
]

function sidecar(command: string) {
  return { name: 'beside', image: IMAGE, restartPolicy: 'Always', command: ['sh', '-c', command] }
}

const podOf = ({ script, spec, metadata, container }: Shown, index: number) => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: `f${index}`, ...metadata, labels: { says: '', ...metadata?.labels } },
  spec: {
    restartPolicy: 'Never',
    terminationGracePeriodSeconds: 1,
    ...spec,
    containers: [{ name: 'main', image: IMAGE, command: ['sh', '-c', script], ...container }],
  },
})

const idle = { image: IMAGE, command: ['sh', '-c', 'exec sleep 3600'] }
const resources = { requests: { cpu: '100m', memory: '32Mi' }, limits: { cpu: '200m', memory: '64Mi' } }
const resizePolicy = [{ resourceName: 'memory', restartPolicy: 'RestartContainer' }]

const staying = (name: string, ...containers: object[]) => ({
  ...{ apiVersion: 'v1', kind: 'Pod', metadata: { name } },
  spec: { terminationGracePeriodSeconds: 1, containers },
})

/** Pods of the tests that do more than look at one; they start with the others. */
const besides = [
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
      await cluster.apply(...besides, ...fields.map(podOf))
    })
    after(() => cluster?.remove())

    for (const [index, { field, says }] of fields.entries()) {
      test(field, async () => {
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
      const quota =
        'cat /sys/fs/cgroup/cpu/cpu.cfs_quota_us 2>/dev/null || cut -d" " -f1 /sys/fs/cgroup/cpu.max'
      assert.equal((await inside('main', quota)).trim(), '40000')
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

    test('usage of its containers is measured', async () => {
      await until('usage of the pod', async () => {
        const text = await kubectl(['top', 'pod', 'target', '--no-headers']).catch(() => '')
        return /^target\s+\d+m\s+\d+Mi/.test(text)
      })
    })
  })
}
