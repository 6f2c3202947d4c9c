/** Fields of a pod's spec, each with a pod that shows its effect from inside. */
import { readHugepages } from '../../src/runtime/kubelet/host-facts.ts'
import { IMAGE } from '../support/container-cluster.ts'

const NOBODY = 65_534

export interface Shown {
  readonly field: string
  readonly script: string
  /** Of the pod. */
  readonly spec?: object
  readonly metadata?: { readonly labels?: object; readonly annotations?: object }
  /** Of its container. */
  readonly container?: object
  readonly says: RegExp
  /** What a runtime that is not able to says instead of running it. */
  readonly refused?: RegExp
  /** Why it cannot be seen on this machine. */
  readonly skip?: string | false
}

const env = (name: string, fieldPath: string) => ({ name, valueFrom: { fieldRef: { fieldPath } } })

const mounted = { name: 'scratch', mountPath: '/scratch' }
const SCRATCH = { volumes: [{ name: 'scratch', emptyDir: {} }] }
const AT_SCRATCH = { volumeMounts: [mounted] }
/** In the node's directory of seccomp profiles. */
export const PROFILE = 'no-directories.json'
export const NO_DIRECTORIES = {
  defaultAction: 'SCMP_ACT_ALLOW',
  syscalls: [{ names: ['mkdir', 'mkdirat'], action: 'SCMP_ACT_ERRNO' }],
}

export const fields: readonly Shown[] = [
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
  {
    field: 'fsGroupChangePolicy, and seLinuxOptions where the kernel has none',
    script: 'stat -c %g /scratch',
    spec: {
      securityContext: {
        ...{ fsGroup: 5_000, fsGroupChangePolicy: 'OnRootMismatch' },
        seLinuxOptions: { level: 's0:c1,c2' },
      },
      ...SCRATCH,
    },
    container: AT_SCRATCH,
    says: /^5000$/m,
  },
  {
    field: 'supplementalGroupsPolicy Strict',
    script: 'id -G',
    spec: {
      securityContext: { runAsUser: 0, supplementalGroups: [4_000], supplementalGroupsPolicy: 'Strict' },
    },
    says: /^0 4000$/m,
    refused: /^SupplementalGroupsPolicy=Strict is not supported in this node$/,
  },
  {
    field: 'image volume',
    script: 'ls /scratch/bin/busybox; touch /scratch/file 2>&1 || true',
    spec: { volumes: [{ name: 'scratch', image: { reference: IMAGE } }] },
    container: AT_SCRATCH,
    says: /^\/scratch\/bin\/busybox\n.*Read-only file system/m,
    refused: /^volume "scratch" is an image, which the runtime containerd cannot mount$/,
  },
  {
    field: 'recursiveReadOnly Enabled',
    script: 'touch /scratch/file 2>&1 || true',
    spec: SCRATCH,
    container: { volumeMounts: [{ ...mounted, readOnly: true, recursiveReadOnly: 'Enabled' }] },
    says: /Read-only file system/,
    refused: /^volume "scratch" requested recursive read-only mode, but it is not supported/,
  },
  {
    field: 'lifecycle sleep: what comes after waits for postStart',
    script: 'echo waited $(($(date +%s) - $(cat /scratch/began))) s',
    spec: {
      ...SCRATCH,
      terminationGracePeriodSeconds: 5,
      initContainers: [
        {
          ...{ ...sidecar('date +%s >/scratch/began; exec sleep 100'), ...AT_SCRATCH },
          lifecycle: { postStart: { sleep: { seconds: 2 } }, preStop: { sleep: { seconds: 0 } } },
        },
      ],
    },
    container: AT_SCRATCH,
    says: /^waited ([2-9]|\d{2,}) s$/m,
  },
  {
    field: 'lifecycle.stopSignal',
    script: 'sleep 1; echo over',
    spec: {
      os: { name: 'linux' },
      initContainers: [
        {
          ...sidecar("trap 'exit 7' USR1; while :; do sleep 0.1; done"),
          lifecycle: { stopSignal: 'SIGUSR1' },
        },
      ],
    },
    says: /^over$/m,
    refused: /^lifecycle.stopSignal is not supported by the runtime containerd$/,
  },
  {
    field: 'dnsPolicy ClusterFirstWithHostNet',
    script: 'cat /etc/resolv.conf',
    spec: { hostNetwork: true, dnsPolicy: 'ClusterFirstWithHostNet' },
    says: /^search default\.svc\.cluster\.local .*\n?nameserver 10\.152\.183\.10$/m,
  },
  {
    field: 'hugepages',
    script:
      'cat /sys/fs/cgroup/hugetlb/hugetlb.2MB.limit_in_bytes /sys/fs/cgroup/hugetlb.2MB.max 2>/dev/null',
    container: { resources: { limits: { cpu: '10m', memory: '32Mi', 'hugepages-2Mi': '2Mi' } } },
    says: /^2097152$/m,
    skip: (readHugepages()['2Mi'] ?? 0) === 0 && 'this kernel keeps no huge pages of 2 MiB',
  },
  { field: 'hostNetwork', script: 'ip -o addr', spec: { hostNetwork: true }, says: /10\.77\.0\.11/ },
]

export function sidecar(command: string) {
  return { name: 'beside', image: IMAGE, restartPolicy: 'Always', command: ['sh', '-c', command] }
}
