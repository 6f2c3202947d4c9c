/** Behaviours that conformance asks of sig-node, each as a pod and what it says or shows; node.test.ts runs them. */
import type { Pod } from '../../src/kube/types.ts'
import { IMAGE } from '../support/container-cluster.ts'
import { conditionOf, phaseOf } from '../support/pod-results.ts'

type Shown = readonly [of: (pod: Pod) => unknown, value: RegExp]

export interface Behaviour {
  readonly name: string
  readonly pod: object
  /** What the pod's only or first container prints. */
  readonly says?: RegExp
  /** Of the pod's status, once it has ended or is as it stays. */
  readonly shows?: readonly Shown[]
}

const container = (pod: Pod) => pod.status?.containerStatuses?.[0]
const terminated = (pod: Pod) => container(pod)?.state?.terminated
const waitsFor = (pod: Pod) => container(pod)?.state?.waiting?.reason
const initOf = (pod: Pod) => pod.status?.initContainerStatuses ?? []
const message = (pod: Pod) => terminated(pod)?.message ?? ''
const restarts = (pod: Pod) => container(pod)?.restartCount
const ready = (pod: Pod) => conditionOf(pod, 'Ready')
const readyAfterSeconds = (pod: Pod) => {
  const since = pod.status?.conditions?.find(({ type }) => type === 'Ready')?.lastTransitionTime
  return (timeOf(since) - timeOf(container(pod)?.state?.running?.startedAt)) / 1_000
}
const timeOf = (time: unknown) => Date.parse(String(time))
const succeeds: Shown = [phaseOf, /^Succeeded$/]

/** A pod of one container that runs a script once. */
export function once(script: string, container: object = {}, spec: object = {}): object {
  const main = { name: 'main', image: IMAGE, command: ['sh', '-c', script], ...container }
  return { restartPolicy: 'Never', terminationGracePeriodSeconds: 1, containers: [main], ...spec }
}
/** One that stays. */
export function staying(container: object, spec: object = {}): object {
  return once('exec sleep 3600', container, { restartPolicy: 'Always', ...spec })
}
const fieldRef = (name: string, fieldPath: string) => ({ name, valueFrom: { fieldRef: { fieldPath } } })
const amount = (name: string, resource: string, divisor: string) => ({
  ...{ name, valueFrom: { resourceFieldRef: { resource, divisor } } },
})
const init = (name: string, script: string) => ({ name, image: IMAGE, command: ['sh', '-c', script] })
/** Serves /healthz of /www. */
export const WEB = 'mkdir /www; echo ok >/www/healthz; exec httpd -f -p 8080 -h /www'
export const often = { initialDelaySeconds: 1, periodSeconds: 1, failureThreshold: 1 }
const scratch = { volumes: [{ name: 'scratch', emptyDir: {} }] }

const sources: readonly Behaviour[] = [
  {
    name: 'ConfigMap should be consumable via environment variable',
    pod: once('echo "$ONE"', {
      env: [{ name: 'ONE', valueFrom: { configMapKeyRef: { name: 'settings', key: 'one' } } }],
    }),
    says: /^1$/m,
  },
  {
    name: 'ConfigMap should be consumable via the environment',
    pod: once('echo "$one/$two"', { envFrom: [{ configMapRef: { name: 'settings' } }] }),
    says: /^1\/2$/m,
  },
  {
    name: 'ConfigMap should be consumable as environment variable names with various prefixes',
    pod: once('', { command: ['env'], envFrom: [{ prefix: 'p.', configMapRef: { name: 'settings' } }] }),
    says: /^p\.one=1$/m,
  },
  {
    name: 'Secrets should be consumable from pods in env vars',
    pod: once('echo "$KEY"', {
      env: [{ name: 'KEY', valueFrom: { secretKeyRef: { name: 'hidden', key: 'key' } } }],
    }),
    says: /^value$/m,
  },
  {
    name: 'Secrets should be consumable via the environment',
    pod: once('echo "$key"', { envFrom: [{ secretRef: { name: 'hidden' } }] }),
    says: /^value$/m,
  },
  {
    name: 'Secrets should be consumable as environment variable names variable names with various prefixes',
    pod: once('', { command: ['env'], envFrom: [{ prefix: 'p.', secretRef: { name: 'hidden' } }] }),
    says: /^p\.key=value$/m,
  },
  {
    name: "Downward API should provide container's limits.cpu/memory and requests.cpu/memory as env vars",
    pod: once('echo "$LC $LM $RC $RM"', {
      resources: { limits: { cpu: '2', memory: '64Mi' }, requests: { cpu: '250m', memory: '32Mi' } },
      env: [
        ...[amount('LC', 'limits.cpu', '1'), amount('LM', 'limits.memory', '1Mi')],
        ...[amount('RC', 'requests.cpu', '1m'), amount('RM', 'requests.memory', '1Mi')],
      ],
    }),
    says: /^2 64 250 32$/m,
  },
  {
    name: 'Downward API should provide default limits.cpu/memory from node allocatable',
    pod: once('echo "$LC $LM"', {
      env: [amount('LC', 'limits.cpu', '1'), amount('LM', 'limits.memory', '1')],
    }),
    says: /^[1-9]\d* [1-9]\d{6,}$/m,
  },
  {
    name: 'Downward API should provide host IP as an env var',
    pod: once('echo "$IP"', { env: [fieldRef('IP', 'status.hostIP')] }),
    says: /^10\.77\.0\.11$/m,
  },
  {
    name: 'Downward API should provide hostIPs as an env var',
    pod: once('echo "$IPS"', { env: [fieldRef('IPS', 'status.hostIPs')] }),
    says: /^10\.77\.0\.11$/m,
  },
  {
    name: 'Downward API should provide pod UID as env vars',
    pod: once('echo "$ID"', { env: [fieldRef('ID', 'metadata.uid')] }),
    says: /^[0-9a-f]{8}-[0-9a-f-]{27}$/m,
  },
  {
    name: 'Downward API should provide pod name, namespace and IP address as env vars',
    pod: once('echo "$NAME $SPACE $IP"', {
      env: [
        fieldRef('NAME', 'metadata.name'),
        fieldRef('SPACE', 'metadata.namespace'),
        fieldRef('IP', 'status.podIP'),
      ],
    }),
    says: /^b\d+ default 10\.1\.\d+\.\d+$/m,
  },
  {
    name: 'Variable Expansion should allow composing env vars into new env vars',
    pod: once('echo "$C"', {
      env: [
        { name: 'A', value: 'a-value' },
        { name: 'C', value: '$(A);;b' },
      ],
    }),
    says: /^a-value;;b$/m,
  },
  {
    name: "Variable Expansion should allow substituting values in a container's command",
    pod: once('', { command: ['sh', '-c', 'echo $(WORD)'], env: [{ name: 'WORD', value: 'test-value' }] }),
    says: /^test-value$/m,
  },
  {
    name: "Variable Expansion should allow substituting values in a container's args",
    pod: once('', {
      command: ['sh', '-c'],
      args: ['echo $(WORD)'],
      env: [{ name: 'WORD', value: 'test-value' }],
    }),
    says: /^test-value$/m,
  },
  {
    name: 'Variable Expansion should allow substituting values in a volume subpath',
    pod: once(
      'touch /logs/file; ls /all/b*',
      {
        env: [fieldRef('NAME', 'metadata.name')],
        volumeMounts: [
          { name: 'scratch', mountPath: '/logs', subPathExpr: '$(NAME)' },
          { name: 'scratch', mountPath: '/all' },
        ],
      },
      scratch,
    ),
    says: /^file$/m,
  },
  {
    name: 'Variable Expansion should fail substituting values in a volume subpath with absolute path',
    pod: staying(
      {
        env: [{ name: 'PLACE', value: '/tmp' }],
        volumeMounts: [{ name: 'scratch', mountPath: '/logs', subPathExpr: '$(PLACE)' }],
      },
      scratch,
    ),
    shows: [[waitsFor, /^CreateContainerConfigError$/]],
  },
  {
    name: 'Variable Expansion should fail substituting values in a volume subpath with backticks',
    pod: staying(
      {
        env: [{ name: 'PLACE', value: '..' }],
        volumeMounts: [{ name: 'scratch', mountPath: '/logs', subPathExpr: '$(PLACE)' }],
      },
      scratch,
    ),
    shows: [[waitsFor, /^CreateContainerConfigError$/]],
  },
  {
    name: 'Variable Expansion should succeed in writing subpaths in container',
    pod: once(
      'echo written >/part/log; cat /whole/foo/b*/log',
      {
        env: [fieldRef('NAME', 'metadata.name')],
        volumeMounts: [
          { name: 'scratch', mountPath: '/part', subPathExpr: 'foo/$(NAME)' },
          { name: 'scratch', mountPath: '/whole' },
        ],
      },
      scratch,
    ),
    says: /^written$/m,
  },
  {
    name: 'Pods should contain environment variables for services',
    pod: once('env | grep KUBERNETES_SERVICE_PORT_HTTPS'),
    says: /^KUBERNETES_SERVICE_PORT_HTTPS=443$/m,
  },
]

const EXPECTED_STATUS =
  'Container Runtime blackbox test when starting a container that exits should run with the expected status'
const FAILS_ONCE = '[ -e /scratch/done ] && exit 0; touch /scratch/done; exit 1'
const atScratch = { volumeMounts: [{ name: 'scratch', mountPath: '/scratch' }] }

const programs: readonly Behaviour[] = [
  {
    name: 'Containers should use the image defaults if command and args are blank',
    pod: once('', { command: undefined }),
    shows: [succeeds, [pod => terminated(pod)?.exitCode, /^0$/]],
  },
  {
    name: `${EXPECTED_STATUS} (Always)`,
    pod: once('exit 1', {}, { restartPolicy: 'Always' }),
    shows: [
      [phaseOf, /^Running$/],
      [restarts, /^[1-9]/],
    ],
  },
  {
    name: `${EXPECTED_STATUS} (OnFailure)`,
    pod: once(FAILS_ONCE, atScratch, { restartPolicy: 'OnFailure', ...scratch }),
    shows: [succeeds, [restarts, /^1$/], [ready, /^False$/]],
  },
  {
    name: `${EXPECTED_STATUS} (Never)`,
    pod: once('exit 1'),
    shows: [
      [phaseOf, /^Failed$/],
      [restarts, /^0$/],
      [pod => terminated(pod)?.exitCode, /^1$/],
    ],
  },
  {
    name: "Containers should be able to override the image's default arguments (container cmd)",
    pod: once('', { command: undefined, args: ['echo', 'override', 'arguments'] }),
    says: /^override arguments$/m,
  },
  {
    name: "Containers should be able to override the image's default command (container entrypoint)",
    pod: once('', { command: ['echo', 'override'] }),
    says: /^override$/m,
  },
  {
    name: "Containers should be able to override the image's default command and arguments",
    pod: once('', { command: ['echo'], args: ['override', 'both'] }),
    says: /^override both$/m,
  },
  {
    name: 'Kubelet when scheduling a busybox command in a pod should print the output to logs',
    pod: once('echo Hello World'),
    says: /^Hello World$/m,
  },
  {
    name: 'Kubelet when scheduling a busybox command that always fails in a pod should have an terminated reason',
    pod: once('exit 1'),
    shows: [
      [phaseOf, /^Failed$/],
      [pod => terminated(pod)?.reason, /^Error$/],
    ],
  },
  {
    name: 'Kubelet when scheduling a read only busybox container should not write to root filesystem',
    pod: once('touch /file || echo refused', { securityContext: { readOnlyRootFilesystem: true } }),
    says: /^refused$/m,
  },
  {
    name: 'Kubelet when scheduling an agnhost Pod with hostAliases should write entries to /etc/hosts',
    pod: once('cat /etc/hosts', {}, { hostAliases: [{ ip: '123.45.67.89', hostnames: ['foo', 'bar'] }] }),
    says: /^123\.45\.67\.89\tfoo\tbar$/m,
  },
  {
    name: 'KubeletManagedEtcHosts should test kubelet managed /etc/hosts file',
    pod: once(
      'head -1 /etc/hosts',
      {},
      {
        initContainers: [
          {
            ...init('mounting', 'grep -c Kubernetes-managed /etc/hosts >/dev/termination-log; true'),
            volumeMounts: [{ name: 'hosts', mountPath: '/etc/hosts' }],
          },
        ],
        volumes: [{ name: 'hosts', hostPath: { path: '/etc/hosts', type: 'File' } }],
      },
    ),
    says: /^# Kubernetes-managed hosts file\.$/m,
    shows: [[pod => initOf(pod)[0]?.state?.terminated?.message, /^0$/m]],
  },
  {
    name: 'KubeletManagedEtcHosts should test kubelet managed /etc/hosts file, of a pod in the network of its node',
    pod: once('grep -c "Kubernetes-managed hosts file\\.$" /etc/hosts; true', {}, { hostNetwork: true }),
    says: /^0$/m,
  },
  {
    name:
      'Container Runtime blackbox test on terminated container should report termination message from log output ' +
      'if TerminationMessagePolicy FallbackToLogsOnError is set',
    pod: once('echo -n DONE; exit 1', { terminationMessagePolicy: 'FallbackToLogsOnError' }),
    shows: [
      [phaseOf, /^Failed$/],
      [message, /^DONE$/],
    ],
  },
  {
    name:
      'Container Runtime blackbox test on terminated container should report termination message as empty ' +
      'when pod succeeds and TerminationMessagePolicy FallbackToLogsOnError is set',
    pod: once('echo -n DONE', { terminationMessagePolicy: 'FallbackToLogsOnError' }),
    shows: [succeeds, [message, /^$/]],
  },
  {
    name:
      'Container Runtime blackbox test on terminated container should report termination message from file ' +
      'when pod succeeds and TerminationMessagePolicy FallbackToLogsOnError is set',
    pod: once('echo -n OK >/dev/termination-log', { terminationMessagePolicy: 'FallbackToLogsOnError' }),
    shows: [succeeds, [message, /^OK$/]],
  },
  {
    name:
      'Container Runtime blackbox test on terminated container should report termination message ' +
      'if TerminationMessagePath is set as non-root user and at a non-default path',
    pod: once('echo -n DONE >/dev/custom', {
      terminationMessagePath: '/dev/custom',
      securityContext: { runAsUser: 1_000 },
    }),
    shows: [succeeds, [message, /^DONE$/]],
  },
  {
    name: 'InitContainer should invoke init containers on a RestartNever pod',
    pod: once('exit 0', {}, { initContainers: [init('one', 'exit 0'), init('two', 'exit 0')] }),
    shows: [succeeds, [pod => initOf(pod).map(each => each.ready), /^true,true$/]],
  },
  {
    name: 'InitContainer should invoke init containers on a RestartAlways pod',
    pod: staying({}, { initContainers: [init('one', 'exit 0'), init('two', 'exit 0')] }),
    shows: [
      [phaseOf, /^Running$/],
      [pod => initOf(pod).map(each => each.state?.terminated?.exitCode), /^0,0$/],
    ],
  },
  {
    name: 'InitContainer should not start app containers and fail the pod if init containers fail on a RestartNever pod',
    pod: once('echo never', {}, { initContainers: [init('one', 'exit 0'), init('two', 'exit 1')] }),
    shows: [
      [phaseOf, /^Failed$/],
      [waitsFor, /^PodInitializing$/],
    ],
  },
  {
    name: 'InitContainer should not start app containers if init containers fail on a RestartAlways pod',
    pod: staying({}, { initContainers: [init('one', 'exit 1'), init('two', 'exit 0')] }),
    shows: [
      [pod => initOf(pod)[0]?.restartCount, /^[1-9]/],
      [phaseOf, /^Pending$/],
      [pod => initOf(pod)[1]?.state?.waiting?.reason, /^PodInitializing$/],
    ],
  },
]

const guards: readonly Behaviour[] = [
  {
    name: 'Security Context When creating a container with runAsUser should run the container with uid 65534',
    pod: once('id -u', { securityContext: { runAsUser: 65_534 } }),
    says: /^65534$/m,
  },
  {
    name: 'Security Context When creating a pod with privileged should run the container as unprivileged when false',
    pod: once('ip link add dummy0 type dummy || echo refused', { securityContext: { privileged: false } }),
    says: /^refused$/m,
  },
  {
    name:
      'Security Context When creating a pod with readOnlyRootFilesystem should run the container with writable ' +
      'rootfs when readOnlyRootFilesystem=false',
    pod: once('echo written >/file && cat /file', { securityContext: { readOnlyRootFilesystem: false } }),
    says: /^written$/m,
  },
  {
    name: 'Security Context should support container.SecurityContext.RunAsUser And container.SecurityContext.RunAsGroup',
    pod: once('id -u; id -g', { securityContext: { runAsUser: 1_001, runAsGroup: 2_002 } }),
    says: /^1001\n2002$/m,
  },
  {
    name: 'Security Context should support pod.Spec.SecurityContext.RunAsUser And pod.Spec.SecurityContext.RunAsGroup',
    pod: once('id -u; id -g', {}, { securityContext: { runAsUser: 1_001, runAsGroup: 2_002 } }),
    says: /^1001\n2002$/m,
  },
  {
    name:
      'Security Context when creating containers with AllowPrivilegeEscalation should not allow privilege ' +
      'escalation when false',
    pod: once('grep NoNewPrivs /proc/self/status', { securityContext: { allowPrivilegeEscalation: false } }),
    says: /NoNewPrivs:\s+1/,
  },
  {
    name: 'Sysctls should support sysctls',
    pod: once(
      'cat /proc/sys/kernel/shm_rmid_forced',
      {},
      { securityContext: { sysctls: [{ name: 'kernel.shm_rmid_forced', value: '1' }] } },
    ),
    says: /^1$/m,
  },
  {
    name: 'Pods Extended Pods Set QOS Class should be set on Pods with matching resource requests and limits for memory and cpu',
    pod: once('exit 0', { resources: { limits: { cpu: '100m', memory: '32Mi' } } }),
    shows: [[pod => pod.status?.qosClass, /^Guaranteed$/]],
  },
  {
    name: 'Pods should get a host IP',
    pod: once('exit 0'),
    shows: [
      [pod => `${pod.status?.hostIP} ${pod.status?.hostIPs?.[0]?.ip}`, /^10\.77\.0\.11 10\.77\.0\.11$/],
    ],
  },
]

const probes: readonly Behaviour[] = [
  {
    name: 'Probing container should be restarted with a exec "cat /tmp/health" liveness probe',
    pod: staying({ livenessProbe: { exec: { command: ['cat', '/tmp/health'] }, ...often } }),
    shows: [[restarts, /^[1-9]/]],
  },
  {
    name: 'Probing container should be restarted with a /healthz http liveness probe',
    pod: staying({
      command: ['sh', '-c', `(sleep 2; rm /www/healthz) & ${WEB}`],
      livenessProbe: { httpGet: { path: '/healthz', port: 8_080 }, ...often },
    }),
    shows: [[restarts, /^[1-9]/]],
  },
  {
    name: 'Probing container should *not* be restarted with a exec "cat /tmp/health" liveness probe',
    pod: staying({
      command: ['sh', '-c', 'echo ok >/tmp/health; exec sleep 3600'],
      livenessProbe: { exec: { command: ['cat', '/tmp/health'] }, ...often, successThreshold: 1 },
      readinessProbe: { exec: { command: ['cat', '/tmp/health'] }, initialDelaySeconds: 4, periodSeconds: 1 },
    }),
    shows: [
      [ready, /^True$/],
      [restarts, /^0$/],
    ],
  },
  ...(['http', 'tcp:8080'] as const).map((kind): Behaviour => {
    const action =
      kind === 'http' ? { httpGet: { path: '/healthz', port: 8_080 } } : { tcpSocket: { port: 8_080 } }
    const what = kind === 'http' ? '/healthz http' : kind
    return {
      name: `Probing container should *not* be restarted with a ${what} liveness probe`,
      pod: staying({
        // A socket that is open is enough, whatever is answered there.
        command: ['sh', '-c', kind === 'http' ? WEB : `(sleep 1; rm /www/healthz) & ${WEB}`],
        livenessProbe: { ...action, ...often, initialDelaySeconds: 2 },
        readinessProbe: { ...action, initialDelaySeconds: 4, periodSeconds: 1 },
      }),
      shows: [
        [ready, /^True$/],
        [restarts, /^0$/],
      ],
    }
  }),
  {
    name: 'Probing container with readiness probe should not be ready before initial delay and never restart',
    pod: staying({
      readinessProbe: { exec: { command: ['true'] }, initialDelaySeconds: 3, periodSeconds: 1 },
    }),
    shows: [
      [ready, /^True$/],
      [restarts, /^0$/],
      [pod => readyAfterSeconds(pod) >= 3, /^true$/],
    ],
  },
  {
    name: 'Probing container with readiness probe that fails should never be ready and never restart',
    pod: staying({ readinessProbe: { exec: { command: ['false'] }, ...often } }),
    shows: [
      [pod => container(pod)?.started, /^true$/],
      [ready, /^False$/],
      [restarts, /^0$/],
    ],
  },
]

export const behaviours: readonly Behaviour[] = [...sources, ...programs, ...guards, ...probes]
