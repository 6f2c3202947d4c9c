/** Every part of a pod's spec that is checked: what is wrong with it, and the exact words. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { KubeObject } from '../../../../../src/kube/object.ts'
import { pods } from '../../../../../src/runtime/apiserver/registry/core/pods.ts'
import { created, createProblems, object, read, specOf, updated } from './support.ts'

const container = (over: object = {}): object => ({ name: 'app', image: 'nginx:1.27', ...over })
const pod = (spec: object, metadata: object = {}): KubeObject =>
  object('Pod', { spec: { containers: [container()], ...spec } }, metadata)
const inContainer = (over: object): object => ({ containers: [container(over)] })
const inVolume = (source: object): object => ({ volumes: [{ name: 'v', ...source }] })
const C = 'spec.containers[0]'
const V = 'spec.volumes[0]'
const LABEL =
  "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with " +
  "an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
const IP = 'must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)'

const refusals: readonly [string, object, readonly string[]][] = [
  [
    'a padded image',
    inContainer({ image: ' nginx' }),
    [`${C}.image: Invalid value: " nginx": must not have leading or trailing whitespace`],
  ],
  [
    'an unknown message policy',
    inContainer({ terminationMessagePolicy: 'Log' }),
    [
      `${C}.terminationMessagePolicy: Unsupported value: "Log": supported values: "File", "FallbackToLogsOnError"`,
    ],
  ],
  [
    'a resize policy that restarts what never restarts',
    {
      restartPolicy: 'Never',
      ...inContainer({ resizePolicy: [{ resourceName: 'cpu', restartPolicy: 'RestartContainer' }] }),
    },
    [
      `${C}.resizePolicy: Invalid value: "RestartContainer": must be 'NotRequired' when \`restartPolicy\` is 'Never'`,
    ],
  ],
  [
    'restart rules without a policy',
    inContainer({ restartPolicyRules: [{ action: 'Restart', exitCodes: { operator: 'Is', values: [1] } }] }),
    [
      `${C}.restartPolicy: Required value: must specify restartPolicy when restart rules are used`,
      `${C}.restartPolicyRules[0].exitCodes.operator: Unsupported value: "Is": supported values: "In", "NotIn"`,
    ],
  ],
  [
    'profiles that are none',
    inContainer({
      securityContext: {
        seccompProfile: { type: 'Localhost' },
        appArmorProfile: { type: 'RuntimeDefault', localhostProfile: 'p' },
        procMount: 'Unmasked',
      },
    }),
    [
      `${C}.securityContext.procMount: Invalid value: "Unmasked": \`hostUsers\` must be false to use \`Unmasked\``,
      `${C}.securityContext.seccompProfile.localhostProfile: Required value: must be set when seccomp type is Localhost`,
      `${C}.securityContext.appArmorProfile.localhostProfile: Invalid value: "p": can only be set when AppArmor type is Localhost`,
    ],
  ],
  [
    'a pod security context full of mistakes',
    {
      hostNetwork: true,
      securityContext: {
        supplementalGroups: [-1],
        fsGroupChangePolicy: 'Sometimes',
        sysctls: [
          { name: 'net.ipv4.ip_forward', value: '1' },
          { name: 'A', value: '1' },
        ],
      },
    },
    [
      'spec.securityContext.supplementalGroups[0]: Invalid value: -1: must be between 0 and 2147483647, inclusive',
      `spec.securityContext.sysctls[0].name: Invalid value: "net.ipv4.ip_forward": may not be specified when 'hostNetwork' is true`,
      'spec.securityContext.sysctls[1].name: Invalid value: "A": must have at most 253 characters and match regex ^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?$',
      'spec.securityContext.fsGroupChangePolicy: Unsupported value: "Sometimes": supported values: "Always", "OnRootMismatch"',
    ],
  ],
  [
    'windows options on linux',
    { os: { name: 'linux' }, securityContext: { windowsOptions: { runAsUserName: 'x' } } },
    ['spec.securityContext.windowsOptions: Forbidden: windows options cannot be set for a linux pod'],
  ],
  [
    'linux options on windows',
    { os: { name: 'windows' }, hostPID: true, ...inContainer({ securityContext: { privileged: true } }) },
    [
      'spec.hostPID: Forbidden: cannot be set for a windows pod',
      `${C}.securityContext.privileged: Forbidden: cannot be set for a windows pod`,
    ],
  ],
  [
    'users of its own on the host',
    { hostUsers: false, hostNetwork: true, hostIPC: true },
    [
      'spec.hostNetwork: Forbidden: when `pod.Spec.HostUsers` is false',
      'spec.HostIPC: Forbidden: when `pod.Spec.HostUsers` is false',
    ],
  ],
  [
    'a host process that is alone',
    { securityContext: { windowsOptions: { hostProcess: true } } },
    [
      'spec.hostNetwork: Invalid value: false: hostNetwork must be true if pod contains any hostProcess containers',
    ],
  ],
  [
    'device claims of nobody',
    {
      resourceClaims: [{ name: 'a' }, { name: 'a', resourceClaimName: 'x' }],
      ...inContainer({ resources: { claims: [{ name: 'a' }, { name: 'a' }, { name: 'b' }] } }),
    },
    [
      'spec.resourceClaims[0]: Invalid value: {"name":"a"}: must specify one of: `resourceClaimName`, `resourceClaimTemplateName`',
      'spec.resourceClaims[1].name: Duplicate value: "a"',
      `${C}.resources.claims[1]: Duplicate value: "a"`,
      `${C}.resources.claims[2]: Not found: "b": must be one of the names in pod.spec.resourceClaims: a`,
    ],
  ],
  [
    'less for the pod than for its containers',
    {
      resources: { requests: { cpu: '100m' }, limits: { cpu: '1', pods: '1' } },
      ...inContainer({ resources: { requests: { cpu: '200m' }, limits: { cpu: '2' } } }),
    },
    [
      'spec.resources.limits[pods]: Unsupported value: "pods": supported values: "cpu", "hugepages-", "memory"',
      'spec.resources.limits[pods]: Invalid value: "pods": must be a standard resource for containers',
      'spec.resources.requests[cpu]: Invalid value: "100m": must be greater than or equal to aggregate container requests of 200m',
      'spec.resources.containers[0][cpu].limits: Invalid value: "2": must be less than or equal to pod limits of 1',
    ],
  ],
  [
    'no name servers of its own',
    { dnsPolicy: 'None' },
    ['spec.dnsConfig: Required value: must provide `dnsConfig` when `dnsPolicy` is None'],
  ],
  [
    'too many name servers',
    { dnsConfig: { nameservers: ['1.1.1.1', '1.1.1.2', '1.1.1.3', 'x'], options: [{}] } },
    [
      'spec.dnsConfig.nameservers: Invalid value: ["1.1.1.1","1.1.1.2","1.1.1.3","x"]: must not have more than 3 nameservers',
      `spec.dnsConfig.nameservers[3]: Invalid value: "x": ${IP}`,
      'spec.dnsConfig.options[0]: Required value: must not be empty',
    ],
  ],
  [
    'a gate twice',
    { schedulingGates: [{ name: 'a.io/x' }, { name: 'a.io/x' }] },
    ['spec.schedulingGates[1]: Duplicate value: "a.io/x"'],
  ],
  [
    'spreading that repeats itself',
    {
      topologySpreadConstraints: [
        { maxSkew: 1, topologyKey: 'zone', whenUnsatisfiable: 'ScheduleAnyway', minDomains: 2 },
        { maxSkew: 1, topologyKey: 'zone', whenUnsatisfiable: 'ScheduleAnyway', nodeTaintsPolicy: 'Obey' },
      ],
    },
    [
      'spec.topologySpreadConstraints[0].{topologyKey, whenUnsatisfiable}: Duplicate value: "{zone, ScheduleAnyway}"',
      'spec.topologySpreadConstraints[0].minDomains: Invalid value: 2: can only use minDomains if whenUnsatisfiable=DoNotSchedule, not ScheduleAnyway',
      'spec.topologySpreadConstraints[1].nodeTaintsPolicy: Unsupported value: "Obey": supported values: "Honor", "Ignore"',
    ],
  ],
  [
    'label keys without a selector',
    {
      affinity: {
        podAffinity: {
          requiredDuringSchedulingIgnoredDuringExecution: [
            { topologyKey: 'zone', matchLabelKeys: ['app'], namespaces: ['A'] },
          ],
        },
      },
    },
    [
      `spec.affinity.podAffinity.requiredDuringSchedulingIgnoredDuringExecution[0].namespace: Invalid value: "A": ${LABEL}`,
      'spec.affinity.podAffinity.requiredDuringSchedulingIgnoredDuringExecution[0].matchLabelKeys: Forbidden: must not be specified when labelSelector is not set',
    ],
  ],
  [
    'an environment of what a pod does not have',
    inContainer({
      env: [
        { name: 'A', valueFrom: { fieldRef: { fieldPath: 'spec.image' } } },
        { name: 'B', valueFrom: { fieldRef: { fieldPath: 'status.phase' } } },
        { name: 'D', valueFrom: { resourceFieldRef: { resource: 'limits.cpu', divisor: '2' } } },
      ],
      envFrom: [{}],
    }),
    [
      `${C}.env[0].valueFrom.fieldRef.fieldPath: Invalid value: "spec.image": error converting fieldPath: field label not supported: spec.image`,
      `${C}.env[1].valueFrom.fieldRef.fieldPath: Unsupported value: "status.phase": supported values: "metadata.name", "metadata.namespace", "metadata.uid", "spec.nodeName", "spec.serviceAccountName", "status.hostIP", "status.hostIPs", "status.podIP", "status.podIPs"`,
      `${C}.env[2].valueFrom.resourceFieldRef.divisor: Invalid value: "limits.cpu": only divisor's values 1m and 1 are supported with the cpu resource`,
      `${C}.envFrom: Invalid value: "": must specify one of: \`configMapRef\` or \`secretRef\``,
    ],
  ],
  [
    'mounts that cannot be',
    {
      ...inVolume({ emptyDir: {} }),
      ...inContainer({
        volumeMounts: [
          { name: 'v', mountPath: '/a', mountPropagation: 'Bidirectional', subPath: '../x' },
          { name: 'v', mountPath: '/b', recursiveReadOnly: 'Enabled' },
        ],
        volumeDevices: [{ name: 'v', devicePath: '/dev/x' }],
      }),
    },
    [
      `${C}.volumeMounts[0].name: Invalid value: "v": must not already exist in volumeDevices`,
      `${C}.volumeMounts.subPath: Invalid value: "../x": must not contain '..'`,
      `${C}.volumeMounts.mountPropagation: Forbidden: Bidirectional mount propagation is available only to privileged containers`,
      `${C}.volumeMounts[1].name: Invalid value: "v": must not already exist in volumeDevices`,
      `${C}.volumeMounts.recursiveReadOnly: Forbidden: may only be specified when readOnly is true`,
      `${C}.volumeDevices[0].name: Invalid value: "v": can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode`,
      `${C}.volumeDevices[0].name: Invalid value: "v": must not already exist in volumeMounts`,
    ],
  ],
  [
    'ephemeral containers from the start',
    {
      ephemeralContainers: [
        container({ name: 'debug', targetContainerName: 'web', ports: [{ containerPort: 1 }] }),
      ],
    },
    [
      'spec.ephemeralContainers[0].targetContainerName: Not found: "web"',
      'spec.ephemeralContainers[0].ports: Forbidden: cannot be set for an Ephemeral Container',
      'spec.ephemeralContainers: Forbidden: cannot be set on create',
    ],
  ],
  [
    'another host port than its own on the host network',
    { hostNetwork: true, ...inContainer({ ports: [{ containerPort: 80, hostPort: 81 }] }) },
    [`${C}.ports[0].hostPort: Invalid value: 81: must match \`containerPort\` when \`hostNetwork\` is true`],
  ],
  [
    'a token of nobody',
    inVolume({ projected: { sources: [{ serviceAccountToken: { path: '../t', expirationSeconds: 5 } }] } }),
    [
      `${V}.projected.sources[0].serviceAccountToken.expirationSeconds: Invalid value: 5: may not specify a duration less than 10 minutes`,
      `${V}.projected.sources[0].serviceAccountToken.path: Invalid value: "../t": must not contain '..'`,
      `${V}.projected.sources[0].serviceAccountToken: Forbidden: must not be specified when serviceAccountName is not set`,
    ],
  ],
  [
    'an NFS volume',
    inVolume({ nfs: { server: '', path: 'x' } }),
    [`${V}.nfs.server: Required value`, `${V}.nfs.path: Invalid value: "x": must be an absolute path`],
  ],
  [
    'an iSCSI volume',
    inVolume({ iscsi: { targetPortal: '', iqn: 'x', lun: 300 } }),
    [
      `${V}.iscsi.targetPortal: Required value`,
      `${V}.iscsi.lun: Invalid value: 300: must be between 0 and 255, inclusive`,
      `${V}.iscsi.iqn: Invalid value: "x": must be valid format`,
    ],
  ],
  [
    'a volume of a cluster',
    inVolume({ rbd: { monitors: [], image: '' } }),
    [`${V}.rbd.monitors: Required value`, `${V}.rbd.image: Required value`],
  ],
  ['an image volume without an image', inVolume({ image: {} }), [`${V}.image.reference: Required value`]],
]

for (const [what, spec, expected] of refusals) {
  test(`a pod with ${what} is refused in upstream's words`, () => {
    assert.deepEqual(createProblems(pods, pod(spec)), expected)
  })
}

test('annotations of pods are checked, and agree with the fields', () => {
  const annotations = {
    'container.apparmor.security.beta.kubernetes.io/app': 'unconfined',
    'container.apparmor.security.beta.kubernetes.io/other': 'bad',
    'controller.kubernetes.io/pod-deletion-cost': '+1',
  }
  const given = pod(inContainer({ securityContext: { appArmorProfile: { type: 'RuntimeDefault' } } }), {
    annotations,
  })
  assert.deepEqual(createProblems(pods, given), [
    'metadata.annotations[container.apparmor.security.beta.kubernetes.io/other]: Invalid value: "other": container not found',
    'metadata.annotations[container.apparmor.security.beta.kubernetes.io/other]: Invalid value: "bad": invalid AppArmor profile name: "bad"',
    'metadata.annotations[controller.kubernetes.io/pod-deletion-cost]: Invalid value: "+1": must be a 32bit integer',
    `${C}.securityContext.appArmorProfile.type: Forbidden: apparmor type in annotation and field must match`,
  ])
})

test('a gated pod may be narrowed only', () => {
  const before = created(pods, pod({ schedulingGates: [{ name: 'a.io/x' }], nodeSelector: { disk: 'ssd' } }))
  const change = (spec: object) => {
    const next = updated(pods, before, changed => Object.assign(specOf(changed), spec))
    return read(pods.validateUpdate?.(next, before))
  }
  assert.deepEqual(change({ nodeSelector: { disk: 'ssd', zone: 'a' } }), [])
  assert.deepEqual(change({ nodeSelector: { disk: 'hdd' } }), [
    'spec.nodeSelector: Invalid value: {"disk":"hdd"}: only additions to spec.nodeSelector are allowed (no mutations or deletions)',
  ])
  assert.deepEqual(change({ schedulingGates: [{ name: 'a.io/y' }] }), [
    "spec.schedulingGates[0].name: Forbidden: only deletion is allowed, but found new scheduling gate 'a.io/y'",
  ])
  const required = { requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms: [] } }
  assert.deepEqual(change({ affinity: { nodeAffinity: required } }), [])
})

test('a status keeps its class of service and its ended containers', () => {
  const before = created(pods, pod({ restartPolicy: 'Never', nodeName: 'n' }))
  before['status'] = {
    qosClass: 'BestEffort',
    initContainerStatuses: [{ name: 'i', state: { terminated: { exitCode: 0 } } }],
  }
  const next = structuredClone(before)
  next['status'] = {
    qosClass: 'Burstable',
    hostIP: '10.0.0.1',
    hostIPs: [{ ip: '10.0.0.2' }],
    podIPs: [{ ip: 'x' }],
    initContainerStatuses: [{ name: 'i', state: { running: {} } }],
  }
  assert.deepEqual(read(pods.validateStatusUpdate?.(next, before)), [
    'status.qosClass: Invalid value: "Burstable": field is immutable',
    'status.initContainerStatuses[0].state: Forbidden: may not be transitioned to non-terminated state',
    `status.podIPs[0]: Invalid value: "x": ${IP}`,
    'status.hostIPs[0].ip: Invalid value: "10.0.0.2": must be equal to `hostIP`',
  ])
})
